"""A look at a store's files takes nothing from those who use them."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from runtime.causes import DAMAGED, MISSING, READ_ONLY
from runtime.disk import fault
from support import faults

WRITES = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('INSERT INTO t VALUES (1)'); c.commit(); c.close()"


def test_a_look_at_a_database_leaves_its_locks(tmp_path: Path) -> None:
    """Else the other process is the last one, as far as it knows, and removes the log that is in use here."""
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path)) as mine:
        mine.execute("PRAGMA journal_mode = WAL")
        mine.execute("CREATE TABLE t (n INTEGER)")
        mine.commit()
        assert fault(path, 0) is None
        subprocess.run([sys.executable, "-c", WRITES, str(path)], check=True)
        assert path.with_name("some.db-wal").exists()
        assert mine.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_a_file_that_took_the_place_of_another_is_looked_at_anew(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path)) as mine:
        mine.execute("CREATE TABLE t (n INTEGER)")
    assert fault(path, 0) is None
    other = tmp_path / "other"
    other.write_bytes(b"not a database at all")
    other.replace(path)
    assert fault(path, 0) == DAMAGED
    path.unlink()
    assert fault(path, 0) == MISSING


def test_a_file_on_a_read_only_disk_is_named_and_a_folder_is_left_to_whoever_writes_there(tmp_path: Path) -> None:
    """Temporal does not even start there, so asking it tells nothing."""
    path = tmp_path / "some.db"
    path.touch()
    with faults.read_only(tmp_path):
        assert (fault(path, 0), fault(tmp_path, 0)) == (READ_ONLY, None)
    assert fault(path, 0) is None
