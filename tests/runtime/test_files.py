"""Files are whole or missing, created by one process only, and survive a power cut."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.blobs import BlobStore
from runtime.files import put_new, read_or_create, replace_file


@pytest.fixture
def synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file and folder of the test that is written to the disk, under the name that it has then.

    Servers that other tests share live in the same process and try their own stores meanwhile.
    """
    found: list[Path] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        if path.is_relative_to(tmp_path):
            found.append(path)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    return found


@pytest.mark.parametrize(
    "write",
    [lambda path: put_new(path, b"x"), lambda path: replace_file(path, "x"), lambda path: read_or_create(path, bytes)],
)
def test_a_new_file_and_its_name_are_on_the_disk(
    tmp_path: Path, synced: list[Path], write: Callable[[Path], object]
) -> None:
    write(tmp_path / "file")
    assert synced[0].parent == tmp_path
    assert synced[0].name.startswith(".file-"), "its bytes, before it has its name"
    assert tmp_path in synced[1:], "the folder with its name"


def test_the_new_folder_of_a_secret_is_on_the_disk(tmp_path: Path, synced: list[Path]) -> None:
    assert read_or_create(tmp_path / "keys" / "secret", lambda: b"x") == b"x"
    assert synced[1:] == [tmp_path / "keys", tmp_path]


async def test_a_blob_and_all_its_new_folders_are_on_the_disk(tmp_path: Path, synced: list[Path]) -> None:
    assert await BlobStore(tmp_path.as_uri()).put_new("issues/ab/name", b"x")
    assert synced == [tmp_path / "issues/ab/name", tmp_path / "issues/ab", tmp_path / "issues", tmp_path]


def test_of_many_who_create_a_secret_at_once_all_get_the_same_one(tmp_path: Path) -> None:
    for attempt in range(20):
        path = tmp_path / str(attempt) / "secret"
        with ThreadPoolExecutor(8) as pool:
            found = {future.result() for future in [pool.submit(read_or_create, path, random_bytes) for _ in range(8)]}
        assert len(found) == 1
        assert [entry.name for entry in path.parent.iterdir()] == ["secret"]


def random_bytes() -> bytes:
    return os.urandom(16)
