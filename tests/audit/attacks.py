"""What somebody who owns the database can do to the trail. Triggers and rights do not stop him.

Each attack changes the trail inside a transaction and returns what verification should name.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Awaitable, Callable

import asyncpg

from quaestor.audit.entry import commitment, leaf_hash
from quaestor.audit.tree import store_nodes

__all__ = ["ATTACKS", "Attack", "recompute_tree"]

Named = tuple[str, int | None]
Attack = Callable[[asyncpg.Connection, random.Random], Awaitable[Named]]


async def _some_leaf(connection: asyncpg.Connection, chance: random.Random) -> asyncpg.Record:
    size = await connection.fetchval("select count(*) from quaestor.audit_leaf")
    row = await connection.fetchrow(
        "select * from quaestor.audit_leaf l join quaestor.audit a on a.id = l.audit_id"
        " where leaf = $1",
        chance.randrange(size - 1),
    )
    assert row is not None
    return row


def _flipped(raw: bytes, chance: random.Random) -> bytes:
    bit = chance.randrange(len(raw) * 8)
    return (int.from_bytes(raw, "big") ^ (1 << bit)).to_bytes(len(raw), "big")


def flip_bit_of_entry(column: str) -> Attack:
    async def attack(connection: asyncpg.Connection, chance: random.Random) -> Named:
        row = await _some_leaf(connection, chance)
        await connection.execute(
            f"update quaestor.audit set {column} = $2 where id = $1",
            row["id"],
            _flipped(row[column], chance),
        )
        return "entry_changed", row["leaf"]

    return attack


def change_column(assignment: str) -> Attack:
    async def attack(connection: asyncpg.Connection, chance: random.Random) -> Named:
        row = await _some_leaf(connection, chance)
        await connection.execute(f"update quaestor.audit set {assignment} where id = $1", row["id"])
        return "column_changed", row["leaf"]

    return attack


async def flip_bit_of_leaf(connection: asyncpg.Connection, chance: random.Random) -> Named:
    row = await _some_leaf(connection, chance)
    await connection.execute(
        "update quaestor.audit_leaf set leaf_hash = $2 where leaf = $1",
        row["leaf"],
        _flipped(row["leaf_hash"], chance),
    )
    return "leaf_changed", row["leaf"]


async def flip_bit_of_node(connection: asyncpg.Connection, chance: random.Random) -> Named:
    row = await connection.fetchrow(
        "select * from quaestor.audit_node order by index limit 1 offset $1", chance.randrange(2)
    )
    assert row is not None
    await connection.execute(
        "update quaestor.audit_node set hash = $2 where index = $1",
        row["index"],
        _flipped(row["hash"], chance),
    )
    return "node_changed", row["index"] * 256


async def remove_entry(connection: asyncpg.Connection, chance: random.Random) -> Named:
    row = await _some_leaf(connection, chance)
    await connection.execute("delete from quaestor.audit where id = $1", row["id"])
    return "entry_removed", row["leaf"]


async def remove_leaf(connection: asyncpg.Connection, chance: random.Random) -> Named:
    row = await _some_leaf(connection, chance)
    await connection.execute("delete from quaestor.audit_leaf where leaf = $1", row["leaf"])
    return "leaf_removed", row["leaf"]


async def remove_entry_and_leaf(connection: asyncpg.Connection, chance: random.Random) -> Named:
    row = await _some_leaf(connection, chance)
    await connection.execute("delete from quaestor.audit where id = $1", row["id"])
    await connection.execute("delete from quaestor.audit_leaf where leaf = $1", row["leaf"])
    return "leaf_removed", row["leaf"]


def swap_leaves(columns: str) -> Attack:
    """Two neighbours change places: entirely, or only by their hashes."""

    async def attack(connection: asyncpg.Connection, chance: random.Random) -> Named:
        row = await _some_leaf(connection, chance)
        await connection.execute(
            "alter table quaestor.audit_leaf drop constraint audit_leaf_audit_id_key"
        )
        names = columns.split(", ")
        assignments = ", ".join(f"{name} = o.{name}" for name in names)
        await connection.execute(
            f"update quaestor.audit_leaf l set {assignments} from quaestor.audit_leaf o"
            " where l.leaf in ($1, $2) and o.leaf in ($1, $2) and o.leaf <> l.leaf",
            row["leaf"],
            row["leaf"] + 1,
        )
        return "entry_reordered", row["leaf"] + (1 if "audit_id" in columns else 0)

    return attack


def insert_entry(txid: str) -> Attack:
    async def attack(connection: asyncpg.Connection, chance: random.Random) -> Named:
        row = await _some_leaf(connection, chance)
        await connection.execute(
            "insert into quaestor.audit (id, txid, at, entity, document_id, correlation_id,"
            " canonical, salt, commitment) select 77777, " + txid + ", at, entity, document_id,"
            " correlation_id, canonical, salt, commitment from quaestor.audit where id = $1",
            row["id"],
        )
        return "entry_inserted", None

    return attack


async def insert_leaf_at_the_end(connection: asyncpg.Connection, chance: random.Random) -> Named:
    await insert_entry("txid")(connection, chance)
    leaf = await connection.fetchval("select max(leaf) + 1 from quaestor.audit_leaf")
    await connection.execute(
        "insert into quaestor.audit_leaf select $1, id, at, sha256('') from quaestor.audit"
        " where id = 77777",
        leaf,
    )
    return "leaf_inserted", leaf


async def recompute_tree(connection: asyncpg.Connection) -> None:
    """Make leaf hashes, nodes and the sequencer's state fit whatever the entries are now."""
    rows = await connection.fetch(
        "select l.leaf, a.id, a.commitment from quaestor.audit_leaf l"
        " join quaestor.audit a on a.id = l.audit_id order by l.leaf"
    )
    await connection.executemany(
        "update quaestor.audit_leaf set leaf_hash = $2 where leaf = $1",
        [(row["leaf"], leaf_hash(row["id"], row["commitment"])) for row in rows],
    )
    await connection.execute("delete from quaestor.audit_node")
    await store_nodes(connection, 0, len(rows))
    await connection.execute("update quaestor.audit_sequencer set next_leaf = $1", len(rows))
    await connection.execute("delete from quaestor.checkpoint")


async def rewrite_everything(connection: asyncpg.Connection, chance: random.Random) -> Named:
    """The whole trail is made to fit a changed entry; only the export knows better."""
    row = await _some_leaf(connection, chance)
    forged = row["canonical"].replace(b'"applied"', b'"refused"')
    await connection.execute(
        "update quaestor.audit set canonical = $2, commitment = $3 where id = $1",
        row["id"],
        forged,
        commitment(row["salt"], forged),
    )
    await recompute_tree(connection)
    return "tree_differs", row["leaf"]


async def remove_without_a_trace(connection: asyncpg.Connection, chance: random.Random) -> Named:
    row = await _some_leaf(connection, chance)
    await connection.execute("delete from quaestor.audit where id = $1", row["id"])
    await connection.execute("delete from quaestor.audit_leaf where leaf = $1", row["leaf"])
    await connection.execute(
        "update quaestor.audit_leaf set leaf = leaf + 1000000 where leaf > $1", row["leaf"]
    )
    await connection.execute(
        "update quaestor.audit_leaf set leaf = leaf - 1000001 where leaf > 1000000"
    )
    await recompute_tree(connection)
    return "tree_differs", row["leaf"]


async def remove_the_tail(connection: asyncpg.Connection, chance: random.Random) -> Named:
    end = await connection.fetchval("select max(leaf) from quaestor.audit_leaf")
    keep = end - chance.randrange(1, 50)
    await connection.execute(
        "delete from quaestor.audit where id in"
        " (select audit_id from quaestor.audit_leaf where leaf >= $1)",
        keep,
    )
    await connection.execute("delete from quaestor.audit_leaf where leaf >= $1", keep)
    await recompute_tree(connection)
    return "tail_removed", keep


async def forget_an_entry(connection: asyncpg.Connection, chance: random.Random) -> Named:
    row = await _some_leaf(connection, chance)
    await connection.execute(
        "update quaestor.audit set canonical = null, salt = null where id = $1", row["id"]
    )
    return "entry_erased_without_record", row["leaf"]


def change_payload(statement: str, kind: str) -> Attack:
    async def attack(connection: asyncpg.Connection, chance: random.Random) -> Named:
        row = await connection.fetchrow(
            "select encode(p.hash, 'hex') as hash, p.content from quaestor.audit_payload p"
            " where p.content is not null order by p.hash offset $1 limit 1",
            chance.randrange(5),
        )
        assert row is not None
        leaf = await connection.fetchval(
            "select min(l.leaf) from quaestor.audit a join quaestor.audit_leaf l on"
            " l.audit_id = a.id where position($1 in convert_from(canonical, 'UTF8')) > 0",
            row["hash"],
        )
        flipped = zlib.compress(_flipped(zlib.decompress(row["content"]), chance))
        await connection.execute(
            statement.replace("FLIPPED", f"'\\x{flipped.hex()}'"), bytes.fromhex(row["hash"])
        )
        return kind, leaf

    return attack


async def change_checkpoint(connection: asyncpg.Connection, chance: random.Random) -> Named:
    await connection.execute("update quaestor.checkpoint set note = replace(note, '200', '201')")
    return "checkpoint_invalid", None


ATTACKS: dict[str, Attack] = {
    "one bit of an entry": flip_bit_of_entry("canonical"),
    "one bit of a salt": flip_bit_of_entry("salt"),
    "one bit of a commitment": flip_bit_of_entry("commitment"),
    "one bit of a leaf": flip_bit_of_leaf,
    "one bit of a node": flip_bit_of_node,
    "the entity beside an entry": change_column("entity = 'XX'"),
    "the document beside an entry": change_column("document_id = coalesce(document_id, 0) + 1"),
    "the correlation beside an entry": change_column("correlation_id = 'elsewhere'"),
    "the time beside an entry": change_column("at = at + interval '1 day'"),
    "an entry removed": remove_entry,
    "a leaf removed": remove_leaf,
    "an entry and its leaf removed": remove_entry_and_leaf,
    "two entries swapped": swap_leaves("audit_id, at, leaf_hash"),
    "two leaf hashes swapped": swap_leaves("leaf_hash"),
    "an entry inserted into the past": insert_entry("txid"),
    "an entry inserted into the future": insert_entry("'999999999999'::xid8"),
    "an entry and a leaf appended": insert_leaf_at_the_end,
    "everything rewritten to fit a changed entry": rewrite_everything,
    "an entry removed and everything rewritten to fit": remove_without_a_trace,
    "the tail removed and everything rewritten to fit": remove_the_tail,
    "the bytes of an entry forgotten": forget_an_entry,
    "one bit of a payload": change_payload(
        "update quaestor.audit_payload set content = FLIPPED where hash = $1", "payload_changed"
    ),
    "a payload removed": change_payload(
        "delete from quaestor.audit_payload where hash = $1", "payload_removed"
    ),
    "a payload forgotten": change_payload(
        "update quaestor.audit_payload set content = null, erased_at = now(), erased_by = 1"
        " where hash = $1",
        "payload_erased_without_record",
    ),
    "a checkpoint of the database changed": change_checkpoint,
}
