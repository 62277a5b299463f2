"""The tree against published vectors and against the definition of RFC 9162, word by word."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quaestor.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_spans,
    covering,
    hash_leaf,
    hash_node,
    inclusion_spans,
    join_subtrees,
    perfect_root,
    subtrees,
    verify_consistency,
    verify_inclusion,
)

# The vectors of the Certificate Transparency project, for the tree of RFC 6962 (the same in 9162).
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def defined_root(leaves: Sequence[bytes]) -> bytes:
    """MTH(D[n]) as section 2.1.1 defines it."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + defined_root(leaves[:k]) + defined_root(leaves[k:])).digest()


def defined_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n]) as section 2.1.3.1 defines it."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*defined_path(m, leaves[:k]), defined_root(leaves[k:])]
    return [*defined_path(m - k, leaves[k:]), defined_root(leaves[:k])]


def defined_proof(m: int, leaves: Sequence[bytes], known: bool = True) -> list[bytes]:
    """SUBPROOF(m, D[n], b) as section 2.1.4.1 defines it."""
    if m == len(leaves):
        return [] if known else [defined_root(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m <= k:
        return [*defined_proof(m, leaves[:k], known), defined_root(leaves[k:])]
    return [*defined_proof(m - k, leaves[k:], False), defined_root(leaves[:k])]


def span_hashes(leaves: Sequence[bytes], spans: list[tuple[int, int]]) -> list[bytes]:
    return [
        join_subtrees(
            [
                perfect_root(leaves[index << level : (index + 1) << level])
                for level, index in subtrees(span)
            ]
        )
        for span in spans
    ]


def some_leaves(count: int) -> list[bytes]:
    return [hash_leaf(number.to_bytes(4, "big")) for number in range(count)]


def test_the_empty_tree_has_the_published_root() -> None:
    assert Frontier().root == EMPTY_ROOT == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_the_published_ones(size: int) -> None:
    frontier = Frontier()
    for text in INPUTS[:size]:
        frontier.push(hash_leaf(text))

    assert frontier.root.hex() == ROOTS[size - 1]


@pytest.mark.parametrize(("index", "size", "published"), INCLUSION)
def test_inclusion_proofs_are_the_published_ones(
    index: int, size: int, published: list[str]
) -> None:
    leaves = [hash_leaf(text) for text in INPUTS]

    proof = span_hashes(leaves, inclusion_spans(index, size))

    assert [part.hex() for part in proof] == published
    assert verify_inclusion(index, size, leaves[index], proof, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(("old", "new", "published"), CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(
    old: int, new: int, published: list[str]
) -> None:
    leaves = [hash_leaf(text) for text in INPUTS]

    proof = span_hashes(leaves, consistency_spans(old, new))

    assert [part.hex() for part in proof] == published
    assert verify_consistency(
        old, new, bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1]), proof
    )


@given(st.integers(0, 700))
def test_roots_are_those_of_the_definition(size: int) -> None:
    leaves = some_leaves(size)
    frontier = Frontier()
    for leaf in leaves:
        frontier.push(leaf)

    assert frontier.root == defined_root(leaves)
    assert span_hashes(leaves, [(0, size)]) == [frontier.root]
    assert [
        defined_root(leaves[index << level : (index + 1) << level])
        for level, index, _ in frontier.completed
    ] == [joined for _, _, joined in frontier.completed]


@given(st.data())
def test_inclusion_proofs_are_those_of_the_definition(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 300))
    index = data.draw(st.integers(0, size - 1))
    leaves = some_leaves(size)

    proof = span_hashes(leaves, inclusion_spans(index, size))

    assert proof == defined_path(index, leaves)
    assert verify_inclusion(index, size, leaves[index], proof, defined_root(leaves))


@given(st.data())
def test_consistency_proofs_are_those_of_the_definition(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 300))
    old = data.draw(st.integers(1, new))
    leaves = some_leaves(new)

    proof = span_hashes(leaves, consistency_spans(old, new))

    assert proof == defined_proof(old, leaves)
    assert verify_consistency(old, new, defined_root(leaves[:old]), defined_root(leaves), proof)


@given(st.data())
def test_a_proof_with_one_bit_changed_proves_nothing(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 300))
    index = data.draw(st.integers(0, size - 1))
    leaves = some_leaves(size)
    proof = defined_path(index, leaves)
    part = data.draw(st.integers(0, len(proof) - 1))
    bit = data.draw(st.integers(0, 255))

    number = int.from_bytes(proof[part], "big") ^ (1 << bit)
    proof[part] = number.to_bytes(32, "big")

    assert not verify_inclusion(index, size, leaves[index], proof, defined_root(leaves))


@given(st.data())
def test_an_inclusion_proof_holds_for_no_other_place(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 200))
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(-1, size).filter(lambda n: n != index))
    leaves = some_leaves(size)

    proof = defined_path(index, leaves)

    assert not verify_inclusion(other, size, leaves[index], proof, defined_root(leaves))
    assert not verify_inclusion(index, size, leaves[index], proof[:-1], defined_root(leaves))
    assert not verify_inclusion(
        index, size, leaves[index], [*proof, EMPTY_ROOT], defined_root(leaves)
    )


@given(st.data())
def test_a_rewritten_past_is_never_consistent(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 200))
    old = data.draw(st.integers(1, new - 1))
    changed = data.draw(st.integers(0, old - 1))
    leaves = some_leaves(new)
    old_root = defined_root(leaves[:old])
    leaves[changed] = hash_leaf(b"rewritten")

    proof = defined_proof(old, leaves)

    assert not verify_consistency(old, new, old_root, defined_root(leaves), proof)


@given(st.data())
def test_leaves_and_the_roots_beside_them_make_the_root_of_all(data: st.DataObject) -> None:
    leaves = some_leaves(data.draw(st.integers(1, 600)))
    first = data.draw(st.integers(0, len(leaves)))
    end = data.draw(st.integers(first, len(leaves)))
    frontier = Frontier()

    for level, index in covering((0, first)):
        frontier.push(perfect_root(leaves[index << level : (index + 1) << level]), level)
    for leaf in leaves[first:end]:
        frontier.push(leaf)
    for level, index in covering((end, len(leaves))):
        frontier.push(perfect_root(leaves[index << level : (index + 1) << level]), level)

    assert (frontier.size, frontier.root) == (len(leaves), defined_root(leaves))


def test_nothing_is_consistent_with_less() -> None:
    root = defined_root(some_leaves(3))

    assert verify_consistency(3, 3, root, root, [])
    assert verify_consistency(0, 3, EMPTY_ROOT, root, [])
    assert not verify_consistency(4, 3, root, root, [])
    assert not verify_consistency(3, 3, root, EMPTY_ROOT, [])
    assert not verify_consistency(2, 3, root, root, [])
    assert not verify_consistency(0, 3, root, root, [])


def test_spans_outside_of_the_tree_are_refused() -> None:
    with pytest.raises(ValueError, match="not in the tree"):
        inclusion_spans(3, 3)
    with pytest.raises(ValueError, match="not larger"):
        consistency_spans(4, 3)
    with pytest.raises(ValueError, match="does not begin"):
        subtrees((1, 9))
    with pytest.raises(ValueError, match="power of two"):
        perfect_root(some_leaves(3))


def test_a_node_and_a_leaf_of_the_same_bytes_differ() -> None:
    left, right = some_leaves(2)

    assert hash_node(left, right) != hash_leaf(left + right)
