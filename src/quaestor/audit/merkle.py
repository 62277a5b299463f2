"""The Merkle tree of RFC 9162 section 2.1 over SHA-256: roots, proofs, verification. Pure.

Sizes and indices count leaves from 0. A *span* is a run of leaves `[first, end)`; each span that
a proof speaks of begins at a multiple of the power of two that it fits into, so that it falls
into complete subtrees of decreasing size. A *subtree* is `(level, index)`: the complete one over
the leaves `[index * 2^level, (index + 1) * 2^level)`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

__all__ = [
    "EMPTY_ROOT",
    "Frontier",
    "Span",
    "Subtree",
    "consistency_spans",
    "covering",
    "hash_leaf",
    "hash_node",
    "inclusion_spans",
    "join_subtrees",
    "perfect_root",
    "subtrees",
    "verify_consistency",
    "verify_inclusion",
]

EMPTY_ROOT = hashlib.sha256(b"").digest()

Span = tuple[int, int]
Subtree = tuple[int, int]


def hash_leaf(leaf_input: bytes) -> bytes:
    """SHA-256(0x00 ‖ leaf input)."""
    return hashlib.sha256(b"\x00" + leaf_input).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of hashes of one level."""
    if not hashes or len(hashes) & (len(hashes) - 1):
        raise ValueError("a complete subtree has a power of two of children")
    row = hashes
    while len(row) > 1:
        row = [hash_node(row[n], row[n + 1]) for n in range(0, len(row), 2)]
    return row[0]


def subtrees(span: Span) -> list[Subtree]:
    """The complete subtrees that a span falls into, from left to right, largest first."""
    first, end = span
    parts: list[Subtree] = []
    while first < end:
        level = (end - first).bit_length() - 1
        if first & ((1 << level) - 1):
            raise ValueError("the span does not begin where a subtree of its size does")
        parts.append((level, first >> level))
        first += 1 << level
    return parts


def covering(span: Span) -> list[Subtree]:
    """The fewest complete subtrees that any span falls into, from left to right."""
    first, end = span
    parts: list[Subtree] = []
    while first < end:
        level = (end - first).bit_length() - 1
        if first:
            level = min(level, (first & -first).bit_length() - 1)
        parts.append((level, first >> level))
        first += 1 << level
    return parts


def join_subtrees(hashes: Sequence[bytes]) -> bytes:
    """The hash over a span from the roots of its `subtrees`."""
    if not hashes:
        return EMPTY_ROOT
    joined = hashes[-1]
    for left in reversed(hashes[:-1]):
        joined = hash_node(left, joined)
    return joined


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The spans whose hashes prove that leaf `index` is in the tree of `size` (section 2.1.3.1)."""
    if not 0 <= index < size:
        raise ValueError("the leaf is not in the tree")
    spans: list[Span] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((first, middle))
            first = middle
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """The spans whose hashes prove that the tree of `new` extends that of `old` (2.1.4.1).

    The empty tree needs no proof, and neither does a tree of the same size.
    """
    if not 0 <= old <= new:
        raise ValueError("the older tree is not larger than the newer one")
    if old in (0, new):
        return []
    spans: list[Span] = []
    first, end = 0, new
    while old != end:
        middle = first + _split(end - first)
        if old <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((first, middle))
            first = middle
    # The older tree's own root is known to whoever verifies; it is left out when it is a subtree.
    if first > 0:
        spans.append((first, end))
    return spans[::-1]


def verify_inclusion(
    index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether the proof shows this leaf at `index` in the tree of `size` (section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, computed = index, size - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            computed = hash_node(sibling, computed)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            computed = hash_node(computed, sibling)
        node >>= 1
        last >>= 1
    return last == 0 and computed == root


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the proof shows that the newer tree extends the older one (section 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    if old == new:
        return not proof and old_root == new_root
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node >>= 1
        last >>= 1
    old_computed = new_computed = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old_computed = hash_node(sibling, old_computed)
            new_computed = hash_node(sibling, new_computed)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            new_computed = hash_node(new_computed, sibling)
        node >>= 1
        last >>= 1
    return last == 0 and old_computed == old_root and new_computed == new_root


class Frontier:
    """The right edge of a growing tree: its root at every size, in memory of log2(size) hashes.

    `completed` collects every complete subtree of a level that is a multiple of eight, as
    `(level, index, hash)`, until the caller takes them.
    """

    def __init__(self) -> None:
        self.size = 0
        self.completed: list[tuple[int, int, bytes]] = []
        self._edge: list[tuple[int, bytes]] = []

    def push(self, joined: bytes, level: int = 0) -> None:
        """Add the next leaf, or the root of the next complete subtree of a `level`."""
        leaves = 1 << level
        while self._edge and self._edge[-1][0] == level:
            joined = hash_node(self._edge.pop()[1], joined)
            level += 1
            if level % 8 == 0:
                self.completed.append((level, self.size >> level, joined))
        self._edge.append((level, joined))
        self.size += leaves

    @property
    def root(self) -> bytes:
        """The root of the tree as it is now."""
        return join_subtrees([joined for _, joined in self._edge])


def _split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << (size - 1).bit_length() - 1
