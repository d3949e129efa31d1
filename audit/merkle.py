"""The append-only Merkle log of archived issues, in the trees of RFC 9162: its leaves, its roots and its proofs.

A leaf says nothing about its issue once the salt is erased, so the log stays whole when an archive has to go.
What checks the proofs is `audit.verifier`, which shares no code with this.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

HASH_BYTES: Final = 32
"""Of a salt, a commitment, a leaf and a node."""
EMPTY_ROOT: Final = hashlib.sha256().digest()


def commitment(salt: bytes, record: bytes) -> bytes:
    """SHA-256 of salt and record; the salt's length is fixed, or bytes could move from the one into the other."""
    if len(salt) != HASH_BYTES:
        raise ValueError(f"a salt has {HASH_BYTES} bytes, not {len(salt)}")
    return hashlib.sha256(salt + record).digest()


def leaf_hash(committed: bytes) -> bytes:
    """The leaf of a commitment; its prefix keeps it from being taken for a node."""
    return hashlib.sha256(b"\x00" + committed).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A log's leaf hashes with every complete subtree over them, so that each proof costs a few hashes.

    It answers for every size that the log ever had. A million leaves take a second or two and some 130 MB.
    """

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        """By height: the subtree `i` at height `h` covers the leaves from ``i << h`` to before ``(i + 1) << h``."""
        for leaf in leaves:
            self.append(leaf)

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Adds a leaf hash and the subtrees that it completes."""
        if len(leaf) != HASH_BYTES:
            raise ValueError(f"a leaf hash has {HASH_BYTES} bytes, not {len(leaf)}")
        levels = self._levels
        levels[0].append(leaf)
        height = 0
        while len(levels[height]) % 2 == 0:
            if height + 1 == len(levels):
                levels.append([])
            levels[height + 1].append(_node(levels[height][-2], levels[height][-1]))
            height += 1

    def root(self, size: int | None = None) -> bytes:
        """The root over the first `size` leaves, over all without it."""
        size = self._size(size)
        return self._subtree(0, size) if size else EMPTY_ROOT

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """That the leaf at `index` is in the tree of `size`: the siblings on its way up, the lowest first."""
        size = self._size(size)
        if not 0 <= index < size:
            raise ValueError(f"no leaf {index} among {size}")
        proof: list[bytes] = []
        start, end = 0, size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                proof.append(self._subtree(middle, end))
                end = middle
            else:
                proof.append(self._subtree(start, middle))
                start = middle
        return proof[::-1]

    def consistency_proof(self, old: int, new: int | None = None) -> list[bytes]:
        """That the tree of size `old` is the beginning of that of size `new`; nothing to show where one is empty."""
        new = self._size(new)
        if not 0 <= old <= new:
            raise ValueError(f"a tree of {old} leaves is no beginning of one of {new}")
        proof: list[bytes] = []
        start, end = 0, new
        while 0 < old < end:
            middle = start + _split(end - start)
            if old <= middle:
                proof.append(self._subtree(middle, end))
                end = middle
            else:
                proof.append(self._subtree(start, middle))
                start = middle
        # The verifier knows the old root: it need not be told what is nothing else.
        if start > 0:
            proof.append(self._subtree(start, end))
        return proof[::-1]

    def _size(self, size: int | None) -> int:
        if size is None:
            return len(self)
        if not 0 <= size <= len(self):
            raise ValueError(f"this log never had {size} leaves: it has {len(self)}")
        return size

    def _subtree(self, start: int, end: int) -> bytes:
        """The hash over the leaves from `start` to before `end`, where a complete subtree or the tree's edge lies."""
        leaves = end - start
        half = _split(leaves)
        if leaves == 2 * half or leaves == 1:
            height = leaves.bit_length() - 1
            return self._levels[height][start >> height]
        return _node(self._subtree(start, start + half), self._subtree(start + half, end))


def _split(leaves: int) -> int:
    """The largest power of two below the number of leaves, where the tree parts; 0 for one leaf."""
    return 1 << ((leaves - 1).bit_length() - 1) if leaves > 1 else 0
