"""What our Coupa knows of its resources: attributes, and the scope that each request needs.

Source: Coupa's Swagger 2.0 "Core Platform API" and "Purchasing API", release R39.
"""

from __future__ import annotations

from quaestor.connectors.coupa.fields import ACCOUNT, HEADER

__all__ = ["ATTRIBUTES", "scope_of"]

_SUPPLIER = (
    "id name display-name number status on-hold buyer-hold one-time-supplier payment-term "
    "payment-method po-method po-email account-number tax-id duns website type created-at "
    "updated-at created-by updated-by"
)
_USER = (
    "id login email employee-number firstname lastname fullname active manager department "
    "default-account default-currency default-locale created-at updated-at created-by updated-by"
)
_RECORD = (
    "id contact-alert-type created-at created-by creation-method document-id document-revision "
    "document-status document-type external-id integration integration-filename integration-run "
    "integration-run-id resolved responses status updated-at updated-by"
)

# Custom fields are the installation's own and stand in no published list.
ATTRIBUTES = {
    "requisitions": frozenset(HEADER) | {"custom-fields"},
    "suppliers": frozenset(_SUPPLIER.split()),
    "users": frozenset(_USER.split()),
    "accounts": frozenset(ACCOUNT),
    "integration_history_records": frozenset(_RECORD.split()),
}

_OBJECTS = {
    "requisitions": "core.requisition",
    "suppliers": "core.supplier",
    "users": "core.user",
    "accounts": "core.accounting",
    "integration_history_records": "core.integration",
}


def scope_of(method: str, path: str) -> str:
    """The scope that this request needs; an empty one for a resource that nobody has."""
    resource = path.strip("/").partition("/")[0]
    right = "read" if method == "GET" else "write"
    return f"{_OBJECTS[resource]}.{right}" if resource in _OBJECTS else ""
