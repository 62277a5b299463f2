"""Crosswalks of a new project: a code of each kind that an order needs, to be replaced."""

from __future__ import annotations

from collections.abc import Mapping

from quaestor.project.starter.choosing import Chosen

__all__ = ["crosswalk_files"]

_HEAD = "system,kind,our_code,their_code,valid_from,valid_to\n"
# Ours → theirs, where orders are made. Codes as in SAP's own example company.
_OF_THE_ERP = """\
supplier,helio-systems,10300001
supplier,old-iron,10300099
purchasing_organisation,emea,1010
purchasing_group,it,001
plant,berlin,1010
cost_center,it-de,10101301
gl_account,it-hardware,61003000
tax_code,vat-standard,V1
material_group,it_hardware,A001
uom,EA,PC
uom,HUR,H
payment_terms,net-30,0001
"""
_OF_PROCUREMENT = """\
supplier,helio-systems,SUP-1001
supplier,old-iron,SUP-1099
cost_center,it-de,4100
gl_account,it-hardware,6810
material_group,it_hardware,IT Hardware
uom,EA,EA
uom,HUR,HR
plant,berlin,BER-1
"""


def crosswalk_files(chosen: Chosen) -> Mapping[str, str]:
    """One file for each system that speaks in codes of its own."""
    tables = {chosen.erp: _OF_THE_ERP}
    if chosen.procurement:
        tables[chosen.procurement] = _OF_PROCUREMENT
    return {
        f"crosswalks/{system}.csv": _HEAD
        + "".join(f"{system},{row},,\n" for row in rows.splitlines())
        for system, rows in tables.items()
    }
