"""A command passes only if a certified key signed it, for this issue and within the certified time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.wire import format_time
from security.credentials import CredentialsError, Folder, OwnRoot, Signer, write_folder
from security.signing import UnsignedError, certify, check, name_of, sign
from support.keys import ephemeral_signer

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
ROOT = Ed25519PrivateKey.generate()
ENVELOPE: dict[str, Any] = {
    "id": "c1", "at": format_time(NOW), "actor": {"person": "p1", "role": "property", "org": "demo-property"},
    "body": {"note": "马上到"}, "grants": [{"role": "property", "org": "demo-property"}], "expected_version": 3,
}  # fmt: skip


def signed(signer: Signer | None = None) -> tuple[str, dict[str, Any]]:
    signer = signer or Signer(OwnRoot(ROOT, lambda: NOW))
    return signer.root, signer.sign(signer.root, "issue-1", "accept", ENVELOPE)


def refused(root: str, envelope: dict[str, Any], issue: str = "issue-1", name: str = "accept") -> str:
    with pytest.raises(UnsignedError) as caught:
        check(root, issue, name, envelope)
    return str(caught.value)


def test_a_signed_command_passes_the_check() -> None:
    root, envelope = signed()
    check(root, "issue-1", "accept", envelope)


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("id", "c2"), ("at", format_time(NOW + timedelta(seconds=1))), ("body", {"note": "不来了"}), ("body", None),
        ("actor", {"person": "p2", "role": "property", "org": "demo-property"}), ("expected_version", 4),
        ("grants", [{"role": "street", "org": "demo-street"}]), ("more", 1),
    ],
)  # fmt: skip
def test_a_changed_field_of_a_signed_command_is_refused(part: str, other: object) -> None:
    root, envelope = signed()
    assert refused(root, {**envelope, part: other}) == "its signature does not hold"


def test_a_signature_is_bound_to_one_issue_and_one_command() -> None:
    root, envelope = signed()
    assert "does not hold" in refused(root, envelope, issue="issue-2")
    assert "does not hold" in refused(root, envelope, name="complete")


def test_a_missing_or_malformed_proof_is_refused() -> None:
    root, envelope = signed()
    for proof in (None, "proof", [], {}, {"certificate": {}}, {**envelope["proof"], "signature": 7}):
        refused(root, {**envelope, "proof": proof})
    for signature in ("", "%%%", "AAAA", "é" * 86, "\ud800"):
        refused(root, {**envelope, "proof": {**envelope["proof"], "signature": signature}})


def test_another_root_certifies_nothing_here() -> None:
    _, envelope = signed(Signer(OwnRoot(Ed25519PrivateKey.generate(), lambda: NOW)))
    assert refused(name_of(ROOT.public_key()), envelope) == "its certificate is not by the root of this issue"


@pytest.mark.parametrize("part", ["key", "from", "until", "signature"])
def test_a_certificate_cannot_be_altered(part: str) -> None:
    root, envelope = signed()
    certificate = dict(envelope["proof"]["certificate"])
    other = certify(ROOT, Ed25519PrivateKey.generate().public_key(), NOW, NOW + timedelta(days=9))[part]
    proof = {**envelope["proof"], "certificate": {**certificate, part: other}}
    assert refused(root, {**envelope, "proof": proof}) == "its certificate is not by the root of this issue"


@pytest.mark.parametrize(("since", "until"), [(1, 2), (-2, -1), (-1, 0)])
def test_a_key_signs_only_what_is_of_its_time(tmp_path: Path, since: int, until: int) -> None:
    write_folder(tmp_path, ROOT, NOW + timedelta(hours=since), NOW + timedelta(hours=until))
    source = Folder(tmp_path)
    with pytest.raises(CredentialsError, match="certified from"):
        signed(Signer(source))
    held = source()
    assert (
        refused(held.root, sign(held, held.root, "issue-1", "accept", ENVELOPE))
        == "its key was not certified at that time"
    )


@pytest.mark.parametrize(("ahead", "ends"), [(0, False), (23, False), (24, True), (48, True)])
def test_a_signer_knows_when_its_certificate_ends(tmp_path: Path, ahead: int, *, ends: bool) -> None:
    write_folder(tmp_path, ROOT, NOW, NOW + timedelta(hours=24))
    moment = NOW + timedelta(hours=ahead)
    assert (Signer(Folder(tmp_path)).covers(moment), Signer(Folder(tmp_path)).ends_before(moment)) == (not ends, ends)
    assert not Signer(OwnRoot(ROOT, lambda: NOW)).ends_before(NOW + timedelta(days=9)), "it makes itself a new one"


def test_keys_follow_each_other_while_the_root_stays() -> None:
    moment = NOW
    signer = Signer(OwnRoot(ROOT, lambda: moment))
    first, (root, envelope) = signer.public, signed(signer)
    moment = NOW + timedelta(hours=13)
    assert signer.public != first
    check(root, "issue-1", "accept", envelope)
    later = signer.sign(root, "issue-1", "accept", {**ENVELOPE, "at": format_time(moment)})
    check(root, "issue-1", "accept", later)


def test_a_signer_picks_up_a_new_key_from_its_folder(tmp_path: Path) -> None:
    write_folder(tmp_path, ROOT, NOW, NOW + timedelta(days=1))
    signer = Signer(Folder(tmp_path))
    first = signer.public
    write_folder(tmp_path, ROOT, NOW, NOW + timedelta(days=1))
    assert signer.public != first
    check(*_as_checked(signed(signer)))


def test_a_folder_that_cannot_sign_is_named_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"key\.pem: No such file"):
        _ = Signer(Folder(tmp_path)).root
    write_folder(tmp_path, ROOT, NOW, NOW + timedelta(days=1))
    (tmp_path / "key.pem").chmod(0o640)
    with pytest.raises(CredentialsError, match="others may read it"):
        _ = Signer(Folder(tmp_path)).root
    (tmp_path / "key.pem").chmod(0o600)
    (tmp_path / "certificates.json").write_text("{}")
    with pytest.raises(CredentialsError, match="not what"):
        _ = Signer(Folder(tmp_path)).root


def test_an_issue_of_an_unknown_root_is_not_signed_for() -> None:
    with pytest.raises(CredentialsError):
        ephemeral_signer().sign(name_of(ROOT.public_key()), "issue-1", "accept", ENVELOPE)


def _as_checked(found: tuple[str, dict[str, Any]]) -> tuple[str, str, str, dict[str, Any]]:
    root, envelope = found
    return root, "issue-1", "accept", envelope
