"""Texts are sealed under the key of their issue; once the key is destroyed, they are unreadable."""

from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

import domain.commands as c
from api.http.requests import LONGEST_TEXT
from domain.commands import ContactDetails
from domain.personal import Sealed
from runtime.causes import READ_ONLY
from security.keystore import Erasure, KeyRow, KeyStore, KeyStoreDown
from security.master import MasterError, MasterFile, MasterKeys, rewrap_all
from security.vault import ERASED, FRESH, UNREADABLE, Erased, NoKey, Vault
from support import faults, logs
from support.keys import MemoryStore

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
CANARY = "厨房漏水 canary-5501"
PLAN = c.Plan((c.Step("报价", NOW, "company-a"), c.Step("", NOW)), CANARY)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[KeyStore]:
    store = KeyStore(f"sqlite:///{tmp_path / 'keys.db'}", patience=60)
    await store.prepare()
    yield store
    await store.close()


async def test_a_body_is_sealed_and_opened_again(store: KeyStore) -> None:
    vault = Vault(store, MasterKeys.new())
    sealed = await vault.seal_body("issue-1", "command-1", PLAN)
    assert isinstance(sealed.note, Sealed)
    assert sealed.steps[1].title == ""
    assert CANARY not in repr(sealed)
    assert sealed.steps[0].due == NOW
    assert await vault.open_body("issue-1", sealed) == PLAN


async def test_sealing_is_deterministic_per_command_and_field(store: KeyStore) -> None:
    vault = Vault(store, MasterKeys.new())
    once = await vault.seal_body("issue-1", "command-1", PLAN)
    assert await vault.seal_body("issue-1", "command-1", PLAN) == once
    assert (await vault.seal_body("issue-1", "command-2", PLAN)).note != once.note
    assert (await vault.seal_body("issue-2", "command-1", PLAN)).note != once.note
    twice = await vault.seal_body("issue-1", "command-1", _report("x", "x"))
    assert twice.contact.name != twice.contact.phone


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("keys.db*"))


def _report(name: str, phone: str) -> c.Report:
    place = c.Place("demo", "demo-community", "demo-street")
    return c.Report("JS-1", place, "leak", "", contact=ContactDetails(name, phone))


async def test_another_vault_on_the_same_store_reads_it(store: KeyStore) -> None:
    masters = MasterKeys.new()
    sealed = await Vault(store, masters).seal_body("issue-1", "command-1", PLAN)
    assert await Vault(store, masters).open_body("issue-1", sealed) == PLAN


async def test_what_was_altered_or_is_of_another_key_does_not_open(store: KeyStore) -> None:
    vault = Vault(store, MasterKeys.new())
    note = (await vault.seal_body("issue-1", "command-1", PLAN)).note
    assert isinstance(note, Sealed)
    await vault.seal_body("issue-2", "command-1", PLAN)
    turned = note.text[:-2] + ("AA" if note.text[-2:] != "AA" else "BB")
    for wrong in (Sealed("issue-2", note.text), Sealed("issue-1", turned), Sealed("issue-1", "AAAA")):
        assert (await vault.open_body("issue-1", c.Comment(wrong))).text == UNREADABLE


async def test_nobody_hands_in_what_is_sealed_already(store: KeyStore) -> None:
    vault = Vault(store, MasterKeys.new())
    with pytest.raises(ValueError, match="sealed already"):
        await vault.seal_body("issue-1", "command-1", c.Comment(Sealed("issue-2", "AAAA")))


async def test_an_erased_key_opens_nothing_in_any_process(store: KeyStore, tmp_path: Path) -> None:
    now, masters = 0.0, MasterKeys.new()
    vault, other = Vault(store, masters), Vault(store, masters, lambda: now)
    sealed = await vault.seal_body("issue-1", "command-1", PLAN)
    assert await other.open_body("issue-1", sealed) == PLAN
    row = await store.get("issue-1")
    assert row is not None
    assert row.wrapped is not None
    assert await vault.erase("issue-1", "asked", NOW)
    assert not await vault.erase("issue-1", "asked", NOW)
    now = FRESH
    for each in (vault, other):
        assert (await each.open_body("issue-1", sealed)).note == ERASED
        with pytest.raises(Erased):
            await each.seal_body("issue-1", "command-2", PLAN)
    held = b"".join(file.read_bytes() for file in _files(tmp_path))
    assert row.wrapped.data not in held


@pytest.mark.parametrize("kind", [KeyStore, MemoryStore])
async def test_a_requested_erasure_stays_on_record_after_it_is_done(
    kind: type[KeyStore | MemoryStore], store: KeyStore
) -> None:
    keys = store if kind is KeyStore else MemoryStore()
    vault, later = Vault(keys, MasterKeys.new()), NOW + timedelta(days=1)
    await vault.key_for("issue-2", make=True)
    one, two, three = (Erasure(f"issue-{number}", "request", NOW) for number in (1, 2, 3))
    await vault.store.request_erasures([one, two])
    await vault.store.request_erasures([Erasure("issue-2", "other", later), three])
    assert list(await vault.store.requested_erasures("", 9)) == [one, two, three]
    assert list(await vault.store.requested_erasures("issue-1", 1)) == [two]
    assert await vault.store.destroyed(["issue-1", "issue-2"]) == set()
    assert await vault.erase("issue-2", "request", later)
    assert await vault.erase("issue-4", "other", later)
    await vault.store.request_erasures([two])  # asked for once more: nothing is left to be done
    assert await vault.store.destroyed(["issue-1", "issue-2", "issue-9"]) == {"issue-2"}
    assert list(await vault.store.requested_erasures("", 9)) == [one, three]
    gone = [Erasure("issue-2", "request", later), Erasure("issue-4", "other", later)]
    assert list(await vault.store.tombstones("", 9)) == gone
    assert list(await vault.store.tombstones("", 1)) == gone[:1]
    assert list(await vault.store.tombstones("issue-2", 9)) == gone[1:]


async def test_a_missing_issue_key_raises_no_key(store: KeyStore) -> None:
    with pytest.raises(NoKey):
        await Vault(store, MasterKeys.new()).key_for("issue-1", make=False)


async def test_a_store_that_is_away_is_said_so_and_known_keys_go_on(tmp_path: Path) -> None:
    store, now = KeyStore(f"sqlite:///{tmp_path / 'keys.db'}", patience=60), 0.0
    await store.prepare()
    vault = Vault(store, MasterKeys.new(), lambda: now)
    sealed = await vault.seal_body("issue-1", "command-1", PLAN)
    await store.close()
    for file in _files(tmp_path):
        file.unlink()
    (tmp_path / "keys.db").mkdir()
    now = FRESH
    assert await vault.open_body("issue-1", sealed) == PLAN
    with pytest.raises(KeyStoreDown):
        await vault.seal_body("issue-2", "command-1", PLAN)
    await store.close()


async def test_masters_follow_each_other(store: KeyStore, tmp_path: Path) -> None:
    masters = MasterFile.made(tmp_path / "master.json")
    sealed = await Vault(store, masters).seal_body("issue-1", "command-1", PLAN)
    old, new = masters.primary, masters.add()
    masters.promote(new)
    with pytest.raises(MasterError, match="still wraps 1 keys"):
        await masters.remove(old, store)
    assert (await rewrap_all(masters, store)).moved == 1
    await masters.remove(old, store)
    assert await Vault(store, MasterFile(tmp_path / "master.json")).open_body("issue-1", sealed) == PLAN
    assert replace(masters.current).primary == new


async def test_what_belongs_to_another_issue_is_not_opened(store: KeyStore) -> None:
    vault = Vault(store, MasterKeys.new())
    theirs = await vault.seal_body("issue-2", "command-1", c.Comment(CANARY))
    assert (await vault.open_body("issue-2", theirs)).text == CANARY
    assert (await vault.open_body("issue-1", theirs)).text == UNREADABLE


async def test_the_longest_text_that_may_be_sent_can_be_read_again(store: KeyStore) -> None:
    """Of signs that take most bytes."""
    sealed = await Vault(store, MasterKeys.new()).seal_body(
        "i" * 64, "command-1", c.Comment("\U0001f600" * LONGEST_TEXT)
    )
    assert Sealed.parse(str(sealed.text)) == sealed.text


async def test_masters_that_were_read_stay_in_use_while_their_file_is_away(tmp_path: Path) -> None:
    path, away = tmp_path / "master.json", tmp_path / "away.json"
    masters = MasterFile.made(path)
    held = masters.current
    wrapped = await masters.wrap(b"k" * 32, b"issue-1")
    path.rename(away)
    with capture_logs() as lines:
        for _ in range(3):
            assert await masters.unwrap(wrapped, b"issue-1") == b"k" * 32
        path.write_text("{")
        path.chmod(0o600)
        assert masters.current == held
    assert logs.of(lines, ("keys_cannot_be_read",)) == [("keys_cannot_be_read", "warning")]
    assert any(str(path) in line.get("reason", "") for line in lines)
    for change in (masters.add, lambda: masters.promote(held.primary)):
        with pytest.raises(MasterError, match=r"master\.json: not "):
            change()
    with pytest.raises(MasterError, match=r"master\.json: not "):
        _ = MasterFile(path).current
    path.unlink()
    with pytest.raises(MasterError, match="No such file"):
        _ = MasterFile(path).current
    away.rename(path)
    path.chmod(0o644)
    assert masters.current == held
    with pytest.raises(MasterError, match="others may read it"):
        _ = MasterFile(path).current
    path.chmod(0o600)
    added = MasterFile(path).add()
    assert set(masters.current.keys) == {held.primary, added}


async def test_keys_on_a_disk_that_was_read_only_are_made_once_it_takes_writes(store: KeyStore, tmp_path: Path):
    other = KeyStore(f"sqlite:///{tmp_path / 'keys.db'}", patience=60)
    vault = Vault(other, MasterKeys.new())
    await store.get("a")  # holds the log, which nobody can make there
    with faults.read_only(tmp_path):
        with pytest.raises(KeyStoreDown) as caught:
            await other.probe()
        assert caught.value.cause == READ_ONLY
    await other.probe()
    assert await vault.seal_body("a", "1", c.Comment("text"))
    await other.close()


class Counted(KeyStore):
    """A key store that counts the looks at it."""

    looks = 0

    async def several(self, issues: Collection[str]) -> dict[str, KeyRow]:
        self.looks += 1
        return await super().several(issues)


async def test_many_are_opened_with_one_look_each_under_its_own_key(tmp_path: Path) -> None:
    store, masters, now = Counted(f"sqlite:///{tmp_path / 'keys.db'}", patience=60), MasterKeys.new(), 0.0
    await store.prepare()
    writer = Vault(store, masters)
    sealed = {f"issue-{n}": await writer.seal_body(f"issue-{n}", "c", c.Comment(f"{CANARY} {n}")) for n in range(40)}
    await writer.erase("issue-1", "asked", NOW)
    sealed["issue-lost"] = c.Comment((await writer.seal_body("issue-0", "c", PLAN)).note)
    sealed["issue-open"] = c.Comment("nothing is sealed here")
    reader = Vault(store, masters, lambda: now)
    store.looks = 0
    opened = {issue: body.text for issue, body in (await reader.open_many(sealed)).items()}
    assert store.looks == 1
    expected = {f"issue-{n}": f"{CANARY} {n}" for n in range(40)}
    assert opened == {
        **expected, "issue-1": ERASED, "issue-lost": UNREADABLE, "issue-open": "nothing is sealed here",
    }  # fmt: skip
    assert (await reader.open_many({"issue-2": sealed["issue-2"]}))["issue-2"].text == f"{CANARY} 2"
    assert store.looks == 1, "a fresh key is not asked for again"
    await store.close()
    for file in _files(tmp_path):
        file.unlink()
    (tmp_path / "keys.db").mkdir()
    now = FRESH
    known = {issue: body for issue, body in sealed.items() if issue in expected and issue != "issue-1"}
    assert (await reader.open_many(known))["issue-7"].text == f"{CANARY} 7", "known keys go on while the store is away"
    with pytest.raises(KeyStoreDown):
        await Vault(store, masters).open_many(known)
