"""`quaestor token`: a bearer token of the laptop issuer, for evaluation and tests."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated

import typer

from quaestor.cli.output import Failed, Json, Output, command, usage_error
from quaestor.cli.place import Data, Place

if TYPE_CHECKING:
    from quaestor.project.project import Project
    from quaestor.security.identity import LaptopIssuer

__all__ = ["laptop_issuer", "token", "token_for_everything"]

_TTL = re.compile(r"(?P<number>[1-9][0-9]{0,6})(?P<unit>[smhd]?)")
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
# For whoever started a deployment: as long as he may look at it in one go.
_WORKDAY_S = 12 * 3600
_TTL_MAX_S = 30 * 86400


@command
def token(
    more: Annotated[
        list[str] | None, typer.Argument(metavar="", hidden=True, help="More scopes, entities.")
    ] = None,
    scope: Annotated[list[str] | None, typer.Option(help="What it is good for.")] = None,
    entity: Annotated[list[str] | None, typer.Option(help="For which legal entities.")] = None,
    subject: Annotated[str, typer.Option(help="Who calls: a person or a system.")] = "laptop",
    client: Annotated[str, typer.Option(help="The program he uses; SUBJECT as a rule.")] = "",
    ttl: Annotated[str, typer.Option(help="How long it is good: 90s, 30m, 1h, 7d.")] = "1h",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a token that the gateway of this data directory takes. Never in production."""
    output = Output(as_json=as_json)
    scopes, entities = _split(scope), _split(entity)
    for word in _split(more):
        # `--scope a b`: what has a colon is a scope, and no entity has one.
        (scopes if ":" in word else entities).append(word)
    if not scopes or not entities:
        usage_error("name at least one --scope and one --entity")
    if data is None:
        raise Failed("Which deployment? Name it with --data DIR.", code="data_unnamed")
    ttl_s = _seconds(ttl)
    now_s = int(time.time())
    made = laptop_issuer(Place(data)).token(
        subject=subject, scopes=scopes, entities=entities, now_s=now_s, ttl_s=ttl_s, client=client
    )
    if as_json:
        output.result({"token": made, "token_type": "Bearer", "expires_in": ttl_s})
    else:
        print(made)


def token_for_everything(place: Place, project: Project) -> str | None:
    """A token for all of it, for whoever started it; none where real issuers are asked for."""
    from quaestor.cli.supervise import account_name
    from quaestor.security.authorization import Scope

    if project.settings.deployment.environment == "production":
        return None
    return laptop_issuer(place).token(
        subject=account_name(),
        scopes=[str(scope) for scope in Scope],
        entities=project.entities,
        now_s=int(time.time()),
        ttl_s=_WORKDAY_S,
    )


def laptop_issuer(place: Place) -> LaptopIssuer:
    """The issuer of this data directory; its key is made when it is first asked for."""
    from quaestor.audit.keyfile import read_or_make_key
    from quaestor.security.identity import LaptopIssuer, new_signing_key

    return LaptopIssuer(read_or_make_key(place.data / "issuer.key", new_signing_key))


def _split(given: list[str] | None) -> list[str]:
    return [word for text in given or () for word in re.split(r"[\s,]+", text) if word]


def _seconds(text: str) -> int:
    match = _TTL.fullmatch(text)
    seconds = int(match["number"]) * _UNIT_S[match["unit"]] if match else 0
    if not 0 < seconds <= _TTL_MAX_S:
        usage_error(f"--ttl {text}: write 90s, 30m, 1h or 7d, 30 days at most")
    return seconds
