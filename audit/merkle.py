"""The Merkle tree over the log of archived issues (RFC 9162): leaves, roots, inclusion and consistency proofs.

A leaf says nothing about its issue once the salt is erased, so an issue's content can be erased while the log stays
whole. `audit.verifier`, which checks the proofs, shares no code with this module.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

HASH_BYTES: Final = 32
"""The length in bytes of a salt, a commitment, a leaf and an inner node."""
EMPTY_ROOT: Final = hashlib.sha256().digest()


def commitment(salt: bytes, record: bytes) -> bytes:
    """SHA-256 of the salt followed by the record. The salt must have its fixed length, or bytes could be moved from the
    salt to the record.
    """
    if len(salt) != HASH_BYTES:
        raise ValueError(f"a salt has {HASH_BYTES} bytes, not {len(salt)}")
    return hashlib.sha256(salt + record).digest()


def leaf_hash(committed: bytes) -> bytes:
    """The leaf hash of a commitment. Its prefix byte distinguishes a leaf from an inner node."""
    return hashlib.sha256(b"\x00" + committed).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """The tree over a log's leaf hashes. It keeps every complete subtree, so that a proof costs a few hashes.

    It gives roots and proofs for every size that the log ever had. A million leaves take a second or two and some 130
    MB.
    """

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        """The hashes of complete subtrees by height: subtree `i` at height `h` covers the leaves from ``i << h`` to
        before ``(i + 1) << h``.
        """
        for leaf in leaves:
            self.append(leaf)

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Adds a leaf hash, and the subtrees that it completes. Raises ValueError for a hash of another length than
        HASH_BYTES.
        """
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
        """The root over the first `size` leaves, by default over all leaves."""
        size = self._size(size)
        return self._subtree(0, size) if size else EMPTY_ROOT

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """The proof that the leaf at `index` is in the tree of the first `size` leaves: the siblings on its path, the
        lowest first.
        """
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
        """The proof that the tree of size `new` begins with the tree of size `old`; empty if one of the two trees is
        empty.
        """
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
        # If the last subtree is the whole old tree, the verifier knows its root already.
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
        """The hash over the leaves from `start` to before `end`; they must be a complete subtree or reach the tree's
        right edge.
        """
        leaves = end - start
        half = _split(leaves)
        if leaves == 2 * half or leaves == 1:
            height = leaves.bit_length() - 1
            return self._levels[height][start >> height]
        return _node(self._subtree(start, start + half), self._subtree(start + half, end))


def _split(leaves: int) -> int:
    """The largest power of two below the number of leaves, at which RFC 9162 splits the tree; 0 for one leaf."""
    return 1 << ((leaves - 1).bit_length() - 1) if leaves > 1 else 0
