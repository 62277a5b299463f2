"""The stored tree: roots and proofs from leaf hashes and from every eighth level of nodes."""

from __future__ import annotations

import asyncpg

from quaestor.audit.merkle import (
    Span,
    Subtree,
    consistency_spans,
    covering,
    inclusion_spans,
    join_subtrees,
    perfect_root,
    subtrees,
)

__all__ = [
    "TILE_LEVELS",
    "TreeIncomplete",
    "consistency_proof",
    "inclusion_proof",
    "store_nodes",
    "subtree_roots",
    "tree_root",
]

# A stored node stands for 2^8 nodes or leaves of the next lower stored level: one tile.
TILE_LEVELS = 8

_LEAVES = """
select leaf_hash as hash from quaestor.audit_leaf where leaf >= $1 and leaf < $2 order by leaf
"""
_NODES = """
select hash from quaestor.audit_node where level = $3 and index >= $1 and index < $2 order by index
"""
_INSERT_NODES = """
insert into quaestor.audit_node (level, index, hash)
select * from unnest($1::smallint[], $2::bigint[], $3::bytea[])
"""


class TreeIncomplete(Exception):
    """The tree does not hold the leaves that were asked for."""


async def tree_root(connection: asyncpg.Connection, size: int) -> bytes:
    """The root of the tree over the first `size` leaves. Raises `TreeIncomplete`."""
    return await _span_hash(connection, (0, size))


async def inclusion_proof(connection: asyncpg.Connection, leaf: int, size: int) -> list[bytes]:
    """What shows that `leaf` is in the tree of `size`. Raises `TreeIncomplete`, `ValueError`."""
    return [await _span_hash(connection, span) for span in inclusion_spans(leaf, size)]


async def consistency_proof(connection: asyncpg.Connection, old: int, new: int) -> list[bytes]:
    """What shows that the tree of `new` extends that of `old`. As `inclusion_proof`."""
    return [await _span_hash(connection, span) for span in consistency_spans(old, new)]


async def subtree_roots(connection: asyncpg.Connection, span: Span) -> list[bytes]:
    """The roots of the complete subtrees that `covering` names. Raises `TreeIncomplete`."""
    return [await _subtree_root(connection, part) for part in covering(span)]


async def store_nodes(connection: asyncpg.Connection, old: int, new: int) -> None:
    """Store the nodes that became complete while the tree grew from `old` to `new` leaves."""
    rows: list[tuple[int, int, bytes]] = []
    below: dict[int, bytes] = {}
    level = TILE_LEVELS
    while new >> level > old >> level:
        first, end = old >> level, new >> level
        children = await _hashes(
            connection, level - TILE_LEVELS, first << TILE_LEVELS, end << TILE_LEVELS, below
        )
        made = {
            index: perfect_root(children[n << TILE_LEVELS : (n + 1) << TILE_LEVELS])
            for n, index in enumerate(range(first, end))
        }
        rows.extend((level, index, joined) for index, joined in made.items())
        below = made
        level += TILE_LEVELS
    if rows:
        await connection.execute(_INSERT_NODES, *map(list, zip(*rows, strict=True)))


async def _span_hash(connection: asyncpg.Connection, span: Span) -> bytes:
    return join_subtrees([await _subtree_root(connection, part) for part in subtrees(span)])


async def _subtree_root(connection: asyncpg.Connection, subtree: Subtree) -> bytes:
    level, index = subtree
    stored = level - level % TILE_LEVELS
    width = level - stored
    return perfect_root(await _hashes(connection, stored, index << width, (index + 1) << width, {}))


async def _hashes(
    connection: asyncpg.Connection, level: int, first: int, end: int, fresh: dict[int, bytes]
) -> list[bytes]:
    """The hashes `[first, end)` of a stored level; `fresh` are those not stored yet."""
    stored_end = min(end, min(fresh, default=end))
    if level == 0:
        rows = await connection.fetch(_LEAVES, first, stored_end)
    else:
        rows = await connection.fetch(_NODES, first, stored_end, level)
    hashes = [row["hash"] for row in rows]
    hashes.extend(fresh[index] for index in range(stored_end, end))
    if len(hashes) != end - first:
        raise TreeIncomplete(f"{len(hashes)} of {end - first} hashes of level {level} are there.")
    return hashes
