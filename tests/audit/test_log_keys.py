"""A log's keys, the notes that they sign, and the page on which such a note is printed."""

import base64
import hashlib
import stat
import threading
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from audit import head_page, notes
from audit.log_keys import LogKeys, LogKeysError, Rotation
from audit.notes import NoteError, NoteSigner, TreeHead, VerifierKey
from audit.verifier import parse_key, read_note

NAME = "city.example/jiesu"
NOW = datetime(2026, 11, 24, 16, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
HEAD = TreeHead(NAME, 1234, bytes(range(32)), NOW)

# The example in the documentation of Go's package sumdb/note.
SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE = (
    TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


@pytest.fixture
def ring(tmp_path: Path) -> LogKeys:
    return LogKeys.create(tmp_path / "keys", NAME)


def stranger(name: str = NAME) -> NoteSigner:
    return NoteSigner(name, Ed25519PrivateKey.generate())


def private_files(ring: LogKeys) -> list[Path]:
    return sorted(ring.folder.glob("*.pem"))


def damaged(note: str, old: str, new: str) -> str:
    assert note.count(old) >= 1
    return note.replace(old, new, 1)


# Notes.


def test_a_note_is_byte_for_byte_that_of_the_reference():
    signer = NoteSigner("PeterNeumann", Ed25519PrivateKey.from_private_bytes(SEED))
    assert str(signer.vkey) == VKEY
    assert notes.sign_text(TEXT, [signer]) == NOTE


def test_the_reference_note_is_read_by_writer_and_verifier(tmp_path: Path):
    text, signatures = notes.split(NOTE)
    assert text == TEXT
    assert notes.signed_by(text, signatures, VerifierKey.parse(VKEY))
    assert not notes.signed_by(text + " ", signatures, VerifierKey.parse(VKEY))
    (tmp_path / "note").write_text(NOTE, encoding="utf-8")
    note = read_note(tmp_path, "note")
    assert note.text == TEXT
    assert note.signed_by(parse_key(VKEY, "a key"))
    assert not note._replace(text=TEXT + " ").signed_by(parse_key(VKEY, "a key"))


def test_a_tree_head_in_full():
    signer = NoteSigner(NAME, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    note = notes.sign(HEAD, [signer])
    assert note.startswith(
        "city.example/jiesu\n1234\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\ntime 2026-11-24T16:00:00.000Z\n\n"
        "— city.example/jiesu "
    )
    head, signatures = notes.parse(note)
    assert head == HEAD
    assert notes.signed_by(head.text, signatures, signer.vkey)
    assert [str(each) for each in signatures] == note.splitlines()[-1:]


def test_a_note_may_have_several_signatures():
    one, two = stranger(), stranger("witness.example")
    _, signatures = notes.parse(notes.sign(HEAD, [one, two]))
    assert [each.name for each in signatures] == [NAME, "witness.example"]
    assert all(notes.signed_by(HEAD.text, signatures, each.vkey) for each in (one, two))
    assert not notes.signed_by(HEAD.text, signatures, stranger().vkey)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("city.example/jiesu\n", "\n", "line 1: not a name"),
        ("city.example/jiesu\n", "city example\n", "line 1: not a name"),
        ("\n1234\n", "\n01234\n", "line 2: not a number"),
        ("\n1234\n", "\n-1\n", "line 2: not a number"),
        ("\n1234\n", "\n١٢\n", "line 2: not a number"),
        ("AAECAwQF", "AAE", "line 3: "),
        ("AAECAwQF", "AAE!AwQF", "line 3: not base64"),
        ("AAECAwQFBgcI", "", "line 3: a root has 32 bytes, not 23"),
        ("time 2026", "at 2026", "line 4: not a time"),
        ("00.000Z", "00Z", "line 4: not a time"),
        ("00.000Z", "00.000+00:00", "line 4: not a time"),
        ("00.000Z", "99.000Z", "line 4: not a time"),
        ("00.000Z\n", "00.000Z\nmore\n", "four lines, not 5"),
        ("\n1234\n", "\n1234\r\n", "line 2: a control character"),
        ("\n\n— ", "\n— ", "no signatures"),
        ("\n\n— ", "\n\n- ", "line 6: not a signature"),
        ("\n\n— city", "\n\n— a city", "line 6: not a signature"),
        ("\n\n— ", "\n\n— x AAAA\n— ", "line 6: too short"),
        ("\n\n— ", "\n\n— x A\n— ", "line 6: not base64"),
    ],
)
def test_a_head_that_cannot_be_read_is_named_with_its_line(old: str, new: str, said: str):
    note = damaged(notes.sign(HEAD, [stranger()]), old, new)
    with pytest.raises(NoteError) as caught:
        notes.parse(note)
    assert said in str(caught.value)


def test_a_note_that_is_cut_off_or_too_long_is_refused():
    note = notes.sign(HEAD, [stranger()])
    for length in range(len(note)):
        with pytest.raises(NoteError):
            notes.parse(note[:length])
    with pytest.raises(NoteError, match="at most"):
        notes.parse(note + "— x AAAAAAAA\n" * 10_000)


def test_a_head_that_could_not_be_read_is_not_signed():
    for head in (
        TreeHead("no name", 1, bytes(32), NOW),
        TreeHead(NAME, -1, bytes(32), NOW),
        TreeHead(NAME, 1, b"root", NOW),
    ):
        with pytest.raises(NoteError):
            notes.sign(head, [stranger()])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        VKEY[:-4],
        VKEY + "AAAA",
        VKEY.replace("c74f20a3", "c74f20a4"),
        VKEY.replace("Peter", "Pieter"),
        VKEY.replace("ARpc", "Zpcx"),
        "+c74f20a3+" + VKEY.split("+", 2)[2],
    ],
)
def test_a_key_that_is_none_is_refused(text: str):
    with pytest.raises(NoteError):
        VerifierKey.parse(text)


# The keyring.


def test_a_key_is_made_once_and_for_its_owner_only(ring: LogKeys):
    (private,) = private_files(ring)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE((ring.folder / "key.txt").stat().st_mode) == 0o644
    assert stat.S_IMODE(ring.folder.stat().st_mode) == 0o700
    assert (ring.folder / "key.txt").read_text() == f"{ring.first_vkey}\n"
    assert sorted(each.name for each in ring.folder.iterdir()) == sorted([private.name, "key.txt"])  # no drafts
    before = private.read_bytes()
    with pytest.raises(LogKeysError, match="there already"):
        LogKeys.create(ring.folder, NAME)
    assert private_files(ring) == [private]
    assert private.read_bytes() == before
    assert LogKeys.open(ring.folder) == ring
    assert ring.vkey == ring.first_vkey == ring.signer.vkey


def test_of_many_that_make_a_key_at_once_one_does(tmp_path: Path):
    made: list[LogKeys | LogKeysError] = []
    start = threading.Barrier(8)

    def make() -> None:
        start.wait()
        try:
            made.append(LogKeys.create(tmp_path / "keys", NAME))
        except LogKeysError as error:
            made.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    (winner,) = [each for each in made if isinstance(each, LogKeys)]
    assert len(made) == 8
    assert LogKeys.open(tmp_path / "keys") == winner
    assert len(private_files(winner)) == 1
    assert winner.signer.vkey == winner.vkey


def test_leftover_unnamed_key_files_do_not_block_key_creation(tmp_path: Path):
    """As left behind by a process killed between making the private file and naming it."""
    (tmp_path / "0badc0de.pem").write_text("half a key")
    (tmp_path / ".key.txt-abc").write_text("half a draft")
    ring = LogKeys.create(tmp_path, NAME)
    assert ring.signer.vkey == ring.vkey


@pytest.mark.parametrize("name", ["", "two words", "a+b", "a\nb", "a\tb", "a\u3000b", "x" * 201])
def test_a_name_that_a_note_cannot_carry_is_refused(tmp_path: Path, name: str):
    with pytest.raises(NoteError, match="not a name"):
        LogKeys.create(tmp_path / "keys", name)
    assert not (tmp_path / "keys").exists()


def test_a_head_is_signed(ring: LogKeys):
    head, signatures = notes.parse(ring.sign(HEAD))
    assert head == HEAD
    assert notes.signed_by(head.text, signatures, ring.vkey)
    with pytest.raises(LogKeysError, match=r"not for other\.example"):
        ring.sign(TreeHead("other.example", 1, bytes(32), NOW))


def test_keys_follow_one_another(ring: LogKeys):
    second = ring.rotate(NOW)
    third = second.rotate(LATER)
    assert LogKeys.open(ring.folder) == third
    assert third.first_vkey == ring.first_vkey
    assert len({ring.vkey, second.vkey, third.vkey}) == 3
    assert [each.key for each in third.rotations] == [second.vkey, third.vkey]
    for number, (statement, old, new) in enumerate(
        zip(third.rotations, (ring, second), (second, third), strict=True), start=1
    ):
        assert (ring.folder / f"rotations/{number:04}.txt").read_text(encoding="utf-8") == statement.text
        text, signatures = notes.split(statement.text)
        assert text == f"{NAME}/rotation\n{new.vkey}\ntime 2026-11-2{3 + number}T16:00:00.000Z\n"
        assert notes.signed_by(text, signatures, old.vkey)
        assert notes.signed_by(text, signatures, new.vkey)


def test_after_a_rotation_only_the_new_private_key_is_left(ring: LogKeys):
    (old,) = private_files(ring)
    rotated = ring.rotate(NOW)
    (new,) = private_files(rotated)
    assert new != old
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    with pytest.raises(LogKeysError, match="No such file"):
        ring.sign(HEAD)


def test_a_key_signs_nothing_from_before_its_time(ring: LogKeys):
    rotated = ring.rotate(NOW)
    rotated.sign(HEAD)
    with pytest.raises(LogKeysError, match=r"from 2026-11-24T16:00:00\.000Z on"):
        rotated.sign(TreeHead(NAME, 1, bytes(32), NOW - timedelta(milliseconds=1)))
    with pytest.raises(LogKeysError, match="none can follow"):
        rotated.rotate(NOW)


def test_a_rotation_on_a_keyring_that_was_read_before_another_is_refused(ring: LogKeys):
    rotated = ring.rotate(NOW)
    with pytest.raises(LogKeysError):
        ring.rotate(LATER)
    assert LogKeys.open(ring.folder) == rotated
    assert len(private_files(ring)) == 1


def test_of_two_rotations_at_once_one_counts(ring: LogKeys):
    (old,) = private_files(ring)
    kept = old.read_bytes()
    rotated = ring.rotate(NOW)
    old.write_bytes(kept)  # the other process had read its key before it was deleted
    old.chmod(0o600)
    with pytest.raises(LogKeysError, match="at this moment"):
        ring.rotate(LATER)
    assert LogKeys.open(ring.folder) == rotated
    assert rotated.signer.vkey == rotated.vkey


def statement(
    old: NoteSigner, new: NoteSigner, *by: NoteSigner, origin: str = NAME, time: str = "2026-11-24T16:00:00.000Z"
) -> str:
    return notes.sign_text(f"{origin}/rotation\n{new.vkey}\ntime {time}\n", by)


def test_a_statement_needs_both_keys_and_one_name():
    old, new, other, foreign = stranger(), stranger(), stranger(), stranger("other.example")
    assert Rotation.parse(statement(old, new, old, new), old.vkey).key == new.vkey
    for text, said in (
        (statement(old, new, new), "not signed by the key before it"),
        (statement(old, new, old), "not signed by the new key"),
        (statement(old, new, other, new), "not signed by the key before it"),
        (statement(old, foreign, old, foreign), r"a key of other\.example"),
        (statement(old, new, old, new, origin="other.example"), "not a rotation of"),
        (statement(old, new, old, new, time="yesterday"), "line 3: not a time"),
        (notes.sign(HEAD, [old, new]), "not a rotation of"),
        (damaged(statement(old, new, old, new), "16:00", "17:00"), "not signed by"),
    ):
        with pytest.raises(NoteError, match=said):
            Rotation.parse(text, old.vkey)


def test_a_statement_that_does_not_hold_is_named(ring: LogKeys):
    ring.rotate(NOW).rotate(LATER)
    path = ring.folder / "rotations" / "0002.txt"
    whole = path.read_text(encoding="utf-8")
    for broken in (
        whole[: len(whole) // 2],
        "",
        damaged(whole, "2026", "2027"),
        (path.parent / "0001.txt").read_text(encoding="utf-8"),
    ):
        path.write_text(broken, encoding="utf-8")
        with pytest.raises(LogKeysError, match=r"0002\.txt"):
            LogKeys.open(ring.folder)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(LogKeysError, match=r"0002\.txt: not UTF-8"):
        LogKeys.open(ring.folder)


def test_rotations_go_forward_in_time(ring: LogKeys):
    old = ring.signer
    first, second = stranger(), stranger()
    folder = ring.folder / "rotations"
    folder.mkdir()
    (folder / "0001.txt").write_text(statement(old, first, old, first), encoding="utf-8")
    (folder / "0002.txt").write_text(statement(first, second, first, second), encoding="utf-8")
    with pytest.raises(LogKeysError, match=r"0002\.txt: its time"):
        LogKeys.open(ring.folder)


def test_a_keyring_that_cannot_be_used_says_which_file(ring: LogKeys, tmp_path: Path):
    with pytest.raises(LogKeysError, match=r"nothing/key\.txt is missing: .*keygen"):
        LogKeys.open(tmp_path / "nothing")
    (private,) = private_files(ring)
    whole = private.read_bytes()
    other = stranger().private
    none, password = PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    for content, said in (
        (whole[:60], "not an Ed25519 key"),
        (b"", "not an Ed25519 key"),
        (other.private_bytes(Encoding.PEM, none, password), "not an Ed25519 key without password"),
        (LogKeys.create(tmp_path / "other", NAME).signer.private.private_bytes_raw(), "not an Ed25519 key"),
    ):
        private.write_bytes(content)
        with pytest.raises(LogKeysError, match=said) as caught:
            _ = ring.signer
        assert str(private) in str(caught.value)
    elsewhere = LogKeys.open(tmp_path / "other")
    private.write_bytes(private_files(elsewhere)[0].read_bytes())
    with pytest.raises(LogKeysError, match="not the private side"):
        _ = ring.signer
    private.write_bytes(whole)
    private.chmod(0o640)
    with pytest.raises(LogKeysError, match="others may read it"):
        _ = ring.signer
    private.unlink()
    with pytest.raises(LogKeysError, match="No such file"):
        _ = ring.signer
    assert LogKeys.open(ring.folder) == ring  # what is public needs no private key
    (ring.folder / "key.txt").write_text("nonsense")
    with pytest.raises(LogKeysError, match=r"key\.txt: "):
        LogKeys.open(ring.folder)


def test_a_private_key_is_in_no_repr_and_no_error(ring: LogKeys):
    (private,) = private_files(ring)
    whole = private.read_text()
    secret = ring.signer.private.private_bytes_raw()
    inner = whole.splitlines()[1]
    errors: list[BaseException] = []
    for content in (whole[:-30], whole.replace("PRIVATE", "PUBLIC"), inner, whole.replace(inner[:8], "AAAAAAAA")):
        private.write_text(content)
        with pytest.raises(LogKeysError) as caught:
            _ = ring.signer
        errors.append(caught.value)
    private.write_text(whole)
    shown = [repr(ring), repr(ring.signer), *map(str, errors), *(repr(each.__cause__) for each in errors)]
    for text in shown:
        for form in (inner[16:], secret.hex(), base64.b64encode(secret).decode()[:-3], repr(secret)[2:-1]):
            assert form not in text
    assert all(each.__suppress_context__ or each.__context__ is None for each in errors)


# The page.


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, list[str]] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Elements:
    elements = Elements()
    elements.feed(page)
    return elements


def test_the_page_shows_the_head_and_loads_nothing(ring: LogKeys):
    note = ring.sign(HEAD)
    page = head_page.page(note, str(ring.vkey))
    shown = read(page)
    fingerprint = hashlib.sha256(ring.vkey.public).digest().hex(" ", 2)
    for text in ("2026-11-25 00:00:00", "2026-11-24T16:00:00.000Z", "1234", "0001 0203 0405", fingerprint, note):
        assert text in shown.text
    assert str(ring.vkey) in shown.text
    assert not shown.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not set(shown.attributes) & {"src", "href", "xlink:href", "action", "onload", "onclick", "background"}
    assert "url(" not in page
    assert "@import" not in page
    assert page.count("<svg") == 1
    assert head_page.qr_code(note) in page


def test_the_page_shows_the_key_to_pin(ring: LogKeys):
    rotated = ring.rotate(NOW)
    note = rotated.sign(HEAD)
    shown = read(head_page.page(note, str(rotated.vkey), str(ring.first_vkey))).text
    assert f"--key '{ring.first_vkey}'" in shown
    assert hashlib.sha256(ring.first_vkey.public).digest().hex(" ", 2) in shown
    assert str(rotated.vkey) not in shown
    with pytest.raises(NoteError, match="not signed by"):
        head_page.page(note, str(ring.first_vkey))


def test_the_page_escapes_what_it_shows(tmp_path: Path):
    name = "<script>alert('x')</script>&\"{note}"
    ring = LogKeys.create(tmp_path, name)
    page = head_page.page(ring.sign(TreeHead(name, 1, bytes(32), NOW)), str(ring.vkey))
    shown = read(page)
    assert "script" not in shown.tags
    assert "<script" not in page
    assert name in shown.text


def test_the_page_of_a_head_that_does_not_hold_is_not_made(ring: LogKeys):
    note = ring.sign(HEAD)
    for broken, key in (
        (note, str(stranger().vkey)),
        (damaged(note, "1234", "1235"), str(ring.vkey)),
        (note[:-5], str(ring.vkey)),
        (note, "no key"),
    ):
        with pytest.raises(NoteError):
            head_page.page(broken, key)
