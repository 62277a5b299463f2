"""`connector check`: can this installation be used, and what to do in Coupa if not."""

from __future__ import annotations

from quaestor.connectors.coupa.asked import FIELDS, PATHS, Field
from quaestor.connectors.coupa.client import CoupaClient, Listed, Refused
from quaestor.connectors.coupa.config import CoupaConfig
from quaestor.connectors.coupa.manifest import REQUISITIONS
from quaestor.connectors.coupa.reporting import RECORDS
from quaestor.connectors.kit.contract import NotKnown, Probe

__all__ = ["probes"]

_NETWORK_FIX = (
    "Open the way to Coupa's HTTPS port from here, and check base_url and api_path: the instance's "
    "own address, such as https://acme.coupahost.com."
)
_TOKEN_FIX = (
    "Setup > Integrations > Oauth2/OpenID Connect Clients: make an active client with grant type "
    "Client credentials, and check oauth.token_url (/oauth2/token or /oauth2/access_tokens)."
)
_SCOPES = {
    "requisitions": "core.requisition.read",
    "suppliers": "core.supplier.read",
    "users": "core.user.read",
    "accounts": "core.accounting.read",
}


async def probes(client: CoupaClient, config: CoupaConfig) -> tuple[Probe, ...]:
    """One line per thing tried, in the order in which they depend on each other."""
    first, listed = await _resource(client, REQUISITIONS)
    if listed is None and not first.name.startswith("scope"):
        return (first,)
    found = [Probe("network", True), Probe("token", True), first]
    for stream in PATHS:
        if stream != REQUISITIONS:
            found.append((await _resource(client, stream))[0])
    found.append(await _records(client))
    if listed is not None:
        found.append(_fields(listed))
    return tuple(found)


async def _resource(client: CoupaClient, stream: str) -> tuple[Probe, Listed | None]:
    name = f"scope {_SCOPES[stream]}"
    fix = f"Add {_SCOPES[stream]} to the client's scopes, and to oauth.scopes."
    try:
        listed = await client.listed(PATHS[stream], {"limit": "1"}, FIELDS[stream])
    except NotKnown as error:
        return _not_known(error, name, fix), None
    if isinstance(listed, Refused):
        return Probe(name, False, listed.message, fix), None
    return Probe(name, True, f"{stream} can be read"), listed


async def _records(client: CoupaClient) -> Probe:
    name = "scope core.integration.read"
    fix = "Add core.integration.read and core.integration.write to the client's scopes."
    try:
        listed = await client.listed_values(RECORDS, {"limit": "1"}, ("id", "external-id"))
    except NotKnown as error:
        return _not_known(error, name, fix)
    if isinstance(listed, Refused):
        return Probe(name, False, listed.message, fix)
    return Probe(name, True, "integration history records can be read")


def _not_known(error: NotKnown, name: str, fix: str) -> Probe:
    """No connection, no token, or a token that is not good for this."""
    if error.code != "connector_auth_failed":
        return Probe("network", False, error.reason, _NETWORK_FIX)
    if "403" in error.reason:
        return Probe(name, False, error.reason, fix)
    return Probe("token", False, error.reason, _TOKEN_FIX)


def _fields(listed: Listed) -> Probe:
    """Whether a requisition shows each member that the mapping reads."""
    if not listed.rows:
        return Probe("fields", True, "there is no requisition to look at yet")
    names = [_name(field) for field in FIELDS[REQUISITIONS]]
    shown = {name.replace("_", "-") for name in listed.rows[0].value}
    missing = [name for name in names if name not in shown]
    if missing:
        fix = "Let the client's user see these fields of requisitions, or check the API filters."
        return Probe("fields", False, f"not shown: {', '.join(missing)}", fix)
    return Probe("fields", True, f"{len(names)} fields of a requisition are shown")


def _name(field: Field) -> str:
    return field if isinstance(field, str) else next(iter(field))
