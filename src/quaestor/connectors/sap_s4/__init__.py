"""SAP S/4HANA: purchase orders over OData v2 (API_PURCHASEORDER_PROCESS_SRV)."""
