"""The log's trees are those of RFC 9162; the stand-alone verifier accepts its proofs and refuses altered ones."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.merkle import EMPTY_ROOT, Tree, commitment, leaf_hash
from audit.verifier import consistent, included, leaf

# The test vectors of Certificate Transparency's own log: leaves, roots by size, proofs.
LEAVES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
INCLUSION = {
    (0, 1): (),
    (0, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
    (1, 5): (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
CONSISTENCY = {
    (1, 1): (),
    (1, 8): INCLUSION[0, 8],
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
    (6, 7): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
}
MOST = 130
"""Leaves of the log in the properties: past several powers of two."""
LOG = Tree(leaf_hash(number.to_bytes(32)) for number in range(MOST))


def known() -> Tree:
    return Tree(leaf_hash(bytes.fromhex(text)) for text in LEAVES)


def flipped(value: bytes, bit: int) -> bytes:
    bit %= len(value) * 8
    return (int.from_bytes(value) ^ 1 << bit).to_bytes(len(value))


def hashed_by_definition(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + hashed_by_definition(leaves[:k]) + hashed_by_definition(leaves[k:])).digest()


def test_the_roots_are_those_of_certificate_transparency():
    tree = known()
    assert [tree.root(size).hex() for size in range(9)] == list(ROOTS)
    assert tree.root().hex() == ROOTS[-1]
    assert EMPTY_ROOT.hex() == ROOTS[0]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_the_inclusion_proofs_are_those_of_certificate_transparency(index: int, size: int):
    proof = known().inclusion_proof(index, size)
    assert [each.hex() for each in proof] == list(INCLUSION[index, size])
    assert included(index, size, leaf_hash(bytes.fromhex(LEAVES[index])), proof, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_the_consistency_proofs_are_those_of_certificate_transparency(old: int, new: int):
    proof = known().consistency_proof(old, new)
    assert [each.hex() for each in proof] == list(CONSISTENCY[old, new])
    assert consistent(old, new, bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new]), proof)


def test_the_verifier_hashes_a_leaf_as_the_writer_does():
    salt, record = bytes(range(32)), b'{"issue":"a"}'
    inner = hashlib.sha256(salt + record).digest()
    assert commitment(salt, record) == inner
    assert leaf(salt, record) == leaf_hash(inner) == hashlib.sha256(b"\0" + inner).digest()


def test_every_tree_and_every_proof_of_a_small_log():
    leaves = [leaf_hash(number.to_bytes(32)) for number in range(40)]
    tree = Tree(leaves)
    for new in range(len(leaves) + 1):
        root = tree.root(new)
        assert root == hashed_by_definition(leaves[:new]) == Tree(leaves[:new]).root()
        for index in range(new):
            assert included(index, new, leaves[index], tree.inclusion_proof(index, new), root)
        for old in range(new + 1):
            assert consistent(old, new, tree.root(old), root, tree.consistency_proof(old, new))


@given(size=st.integers(1, MOST), data=st.data())
def test_an_inclusion_proof_holds_for_its_leaf_only(size: int, data: st.DataObject):
    index = data.draw(st.integers(0, size - 1))
    bit = data.draw(st.integers(0, 255))
    own, root, proof = leaf_hash(index.to_bytes(32)), LOG.root(size), LOG.inclusion_proof(index, size)
    assert included(index, size, own, proof, root)
    assert not included(index, size, flipped(own, bit), proof, root)
    assert not included(index, size, own, proof, flipped(root, bit))
    assert not included(-1 - index, size, own, proof, root)
    for place in range(9):
        assert not included(index ^ 1 << place, size, own, proof, root)
        # The size is bound to its root by the head's signature: another size comes with another root.
        if (other := size ^ 1 << place) <= MOST:
            assert not included(index, other, own, proof, LOG.root(other))
    for place, node in enumerate(proof):
        assert not included(index, size, own, [*proof[:place], flipped(node, bit), *proof[place + 1 :]], root)
        assert not included(index, size, own, proof[:place] + proof[place + 1 :], root)
    for more in ([own, *proof], [*proof, own], [*proof, root], [root, *proof]):
        assert not included(index, size, own, more, root)


@given(new=st.integers(1, MOST), data=st.data())
def test_a_consistency_proof_holds_for_its_two_trees_only(new: int, data: st.DataObject):
    old = data.draw(st.integers(1, new))
    bit = data.draw(st.integers(0, 255))
    before, after, proof = LOG.root(old), LOG.root(new), LOG.consistency_proof(old, new)
    assert consistent(old, new, before, after, proof)
    assert not consistent(old, new, flipped(before, bit), after, proof)
    assert not consistent(old, new, before, flipped(after, bit), proof)
    assert not consistent(-old, new, before, after, proof)
    if old < new:
        assert not consistent(new, old, after, before, proof)
    for place in range(9):
        if 0 < (other := old ^ 1 << place) <= MOST:
            assert not consistent(other, new, LOG.root(other), after, proof)
        if 0 < (other := new ^ 1 << place) <= MOST:
            assert not consistent(old, other, before, LOG.root(other), proof)
    for place, node in enumerate(proof):
        assert not consistent(old, new, before, after, [*proof[:place], flipped(node, bit), *proof[place + 1 :]])
        assert not consistent(old, new, before, after, proof[:place] + proof[place + 1 :])
    for more in ([before, *proof], [*proof, before], [*proof, after], [after, *proof]):
        assert not consistent(old, new, before, after, more)


@given(size=st.integers(2, 40), data=st.data())
def test_a_log_that_was_rewritten_is_no_continuation(size: int, data: st.DataObject):
    old = data.draw(st.integers(1, size - 1))
    changed = data.draw(st.integers(0, old - 1))
    leaves = [leaf_hash(number.to_bytes(32)) for number in range(size)]
    kept = Tree(leaves).root(old)
    leaves[changed] = leaf_hash(b"another record")
    forged = Tree(leaves)
    assert not consistent(old, size, kept, forged.root(), forged.consistency_proof(old, size))


def test_nothing_but_an_empty_log_begins_every_log():
    assert consistent(0, 5, EMPTY_ROOT, LOG.root(5), [])
    assert not consistent(0, 5, LOG.root(1), LOG.root(5), [])
    assert not consistent(0, 5, EMPTY_ROOT, LOG.root(5), [EMPTY_ROOT])
    assert not included(0, 0, LOG.root(1), [], EMPTY_ROOT)


def test_a_log_of_a_million_leaves():
    size = 1_000_000
    tree = Tree(number.to_bytes(32) for number in range(size))
    root = tree.root()
    for index in range(0, size, size // 100):
        proof = tree.inclusion_proof(index)
        assert len(proof) <= 20
        assert included(index, size, index.to_bytes(32), proof, root)
        assert consistent(index, size, tree.root(index), root, tree.consistency_proof(index))


def test_what_the_log_never_had_is_refused():
    tree = known()
    for wrong in (-1, 9):
        with pytest.raises(ValueError, match="never had"):
            tree.root(wrong)
    for index, size in ((8, 8), (-1, 8), (3, 3), (0, 0)):
        with pytest.raises(ValueError, match="no leaf"):
            tree.inclusion_proof(index, size)
    for old in (-1, 6):
        with pytest.raises(ValueError, match="no beginning"):
            tree.consistency_proof(old, 5)
    with pytest.raises(ValueError, match="32 bytes"):
        tree.append(b"short")
    with pytest.raises(ValueError, match="32 bytes"):
        commitment(b"short", b"record")
