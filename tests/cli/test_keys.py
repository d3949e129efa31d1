"""``jiesu keys``: makes and rotates keys, prints ids and names only, and loses no key by mistake."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from security.credentials import CERTIFICATES, PRIVATE, CredentialsError, Folder, Signer
from security.keystore import KeyStore
from security.master import MasterFile
from security.namespace import NamespaceFile
from security.signing import check
from security.vault import Vault


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JIESU_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "keys").mkdir(parents=True)
    return tmp_path / "home"


def run(*arguments: object, code: int = 0) -> Result:
    """One run; whatever it says, it shows no key that lies anywhere below this folder."""
    result = CliRunner().invoke(app, ["keys", *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    said = f"{result.output} {result.exception}"
    assert "Traceback" not in said
    for secret in _secrets(Path()):
        assert secret not in said
    return result


def _secrets(folder: Path) -> list[str]:
    found: list[str] = []
    for path in folder.rglob("*.json"):
        plain: dict[str, Any] = json.loads(path.read_bytes())
        texts = [*dict(plain.get("keys", {})).values(), plain.get("mark")]
        found += [each for text in texts if text for each in (text, base64.b64decode(text).hex())]
    for path in folder.rglob("*.pem"):
        found += [line for line in path.read_text().splitlines() if not line.startswith("-")]
    return found


def failure(*arguments: object) -> str:
    result = run(*arguments, code=1)
    said = str(result.exception)
    assert type(result.exception).__name__ == "Failure", result.exception
    assert "\n" not in said
    return said


def _signed(process: Path, root: str, at: datetime) -> dict[str, Any]:
    return Signer(Folder(process)).sign(root, "issue-1", "accept", {"id": "c1", "at": _text(at), "body": {}})


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def test_a_certified_process_signs_what_the_root_stands_for() -> None:
    root = run("root", "new", "root").stdout.strip()
    said = run("certify", "root", "process", "--days", 7).stdout
    assert root in said
    now = datetime.now(UTC)
    check(root, "issue-1", "accept", _signed(Path("process"), root, now))
    for moment in (now + timedelta(days=8), now - timedelta(hours=1)):
        with pytest.raises(CredentialsError, match="certified from"):
            _signed(Path("process"), root, moment)
    modes = {
        path.name: path.stat().st_mode & 0o777 for folder in ("root", "process") for path in Path(folder).iterdir()
    }
    assert modes == {"key.pem": 0o600, CERTIFICATES: 0o600}


def test_between_the_two_files_of_a_new_key_the_old_one_signs() -> None:
    root = run("root", "new", "root").stdout.strip()
    for folder in ("process", "next"):
        run("certify", "root", folder, "--days", 7)
    signer, envelope = Signer(Folder(Path("process"))), {"id": "c1", "at": _text(datetime.now(UTC)), "body": {}}

    def key() -> str:
        return signer.sign(root, "issue-1", "accept", envelope)["proof"]["certificate"]["key"]

    old = key()
    for name in (PRIVATE, CERTIFICATES):
        assert key() == old
        (Path("next") / name).rename(Path("process") / name)
    assert key() != old


def test_while_roots_change_a_process_is_certified_by_both() -> None:
    old, new = run("root", "new", "old").stdout.strip(), run("root", "new", "new").stdout.strip()
    run("certify", "old", "process", "--days", 7)
    run("certify", "new", "process", "--days", 7, "--keep", "process")
    for root in (old, new):
        check(root, "issue-1", "accept", _signed(Path("process"), root, datetime.now(UTC)))
    assert Signer(Folder(Path("process"))).root == new


def test_a_root_is_never_replaced() -> None:
    run("root", "new", "root")
    before = Path("root/key.pem").read_bytes()
    assert "never replaced" in failure("root", "new", "root")
    assert "not one for a process" in failure("certify", "root", "root", "--days", 1)
    assert Path("root/key.pem").read_bytes() == before


def test_what_cannot_certify_is_told_in_one_line() -> None:
    assert "No such file" in failure("certify", "nowhere", "process", "--days", 1)
    run("root", "new", "root")
    assert run("certify", "root", "process", "--days", 0, code=2).exit_code == 2
    Path("root/key.pem").chmod(0o644)
    assert "others may read it" in failure("certify", "root", "process", "--days", 1)
    assert not Path("process").exists()


def test_namespace_keys_rotate() -> None:
    file = Path("namespace.json")
    first = run("namespace", "new", file).stdout.split()[-1]
    running = NamespaceFile(file)
    assert running.current.primary == first
    assert "is there already" in failure("namespace", "new", file)
    second = run("namespace", "add", file).stdout.strip()
    assert (running.current.primary, set(running.current.keys)) == (first, {first, second})
    run("namespace", "promote", file, second)
    assert running.current.primary == second
    assert "primary" in failure("namespace", "retire", file, second, "--yes")
    assert "no namespace key" in failure("namespace", "promote", file, "x")
    run("namespace", "retire", file, first, "--yes")
    assert set(running.current.keys) == {second}
    assert "No such file" in failure("namespace", "add", "nowhere.json")
    assert "No such file" in failure("namespace", "add", "no/where.json")


def test_a_file_that_holds_something_else_is_left_alone() -> None:
    file = Path("other.txt")
    file.write_text("something else")
    file.chmod(0o600)
    for group in ("namespace", "master"):
        assert "other.txt" in failure(group, "new", file)
        assert "not {" in failure(group, "add", file)
    assert file.read_text() == "something else"


def test_master_keys_rotate_and_every_issue_stays_readable(home: Path) -> None:
    file = Path("master.json")
    first = run("master", "new", file).stdout.split()[-1]

    async def seal() -> bytes:
        store = KeyStore(f"sqlite:///{home / 'keys' / 'issues.db'}", patience=60)
        await store.prepare()
        try:
            return await Vault(store, MasterFile(file)).seal_bytes("issue-1", b"picture")
        finally:
            await store.close()

    async def opened(sealed: bytes) -> bytes:
        store = KeyStore(f"sqlite:///{home / 'keys' / 'issues.db'}", patience=60)
        try:
            return await Vault(store, MasterFile(file)).open_bytes("issue-1", sealed)
        finally:
            await store.close()

    sealed = asyncio.run(seal())
    second = run("master", "add", file).stdout.strip()
    assert "still wraps 1 keys" in failure("master", "remove", file, first)
    assert "1 keys of issues" in run("master", "rotate", file, second).stdout
    assert "0 keys of issues" in run("master", "rotate", file, second).stdout
    run("master", "remove", file, first)
    assert set(MasterFile(file).current.keys) == {second}
    assert asyncio.run(opened(sealed)) == b"picture"


def test_a_key_store_that_is_away_is_told_in_one_line(home: Path) -> None:
    run("master", "new", "master.json")
    key = run("master", "add", "master.json").stdout.strip()
    (home / "keys" / "issues.db").mkdir()
    assert "key store cannot be opened" in failure("master", "rotate", "master.json", key)
