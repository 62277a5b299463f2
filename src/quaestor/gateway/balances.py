"""Balances as they stand now: never kept, and read together for all who ask meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from quaestor.actions.checking import read_balances
from quaestor.budget.balance import Balance
from quaestor.gateway.together import Together
from quaestor.store import Database

__all__ = ["BalanceReader"]

_Entities = tuple[str, ...]
_Found = Mapping[str, Balance]


class BalanceReader:
    """Reads balances. Each reading begins after it was asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Two at a time: whoever waits for the group before his own waits half as long.
        self._reads: Together[_Entities, frozenset[str], _Found] = Together(self._read, at_once=2)

    async def read(self, entities: Iterable[str], nodes: Iterable[str]) -> _Found:
        """The balances of these nodes and of all above them, and maybe others of these entities.

        Nothing of an entity that is not named is seen: who may see others reads apart.
        """
        return await self._reads.ask(tuple(sorted(entities)), frozenset(nodes))

    async def _read(
        self, entities: _Entities, asked: Sequence[frozenset[str]]
    ) -> Sequence[_Found | Exception]:
        found = await read_balances(self._database, entities, frozenset[str]().union(*asked))
        return [found] * len(asked)
