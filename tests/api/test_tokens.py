"""Attack 22: every faulty token is refused with the same words, and a kid never selects a file."""

import base64
import hashlib
import hmac
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from api.identity.authenticator import LocalVerifier, WithResidents
from api.identity.tokens import (
    LIFETIME,
    RESIDENTS,
    Claims,
    InvalidToken,
    LocalTokens,
    ResidentTokens,
    issue_token,
    issuer_of,
)
from protocol.errors import Unavailable


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    issue_token(home, "p1", "property", "demo-property")
    return home


def key(home: Path) -> Ed25519PrivateKey:
    found = serialization.load_pem_private_key((home / "keys" / "token.pem").read_bytes(), None)
    assert isinstance(found, Ed25519PrivateKey)
    return found


def kid(home: Path) -> str:
    return jwt.get_unverified_header(issue_token(home, "p1", "property", "demo-property"))["kid"]


def claims(**changed: Any) -> dict[str, Any]:
    """Good claims with some changed; None leaves one out."""
    now = datetime.now(UTC)
    good: dict[str, Any] = {
        "iss": "jiesu-local", "aud": "jiesu", "sub": "p1", "role": "property", "org": "demo-property",
        "iat": now, "exp": now + LIFETIME,
    }  # fmt: skip
    good.update(changed)
    return {name: value for name, value in good.items() if value is not None}


def signed(home: Path, payload: dict[str, Any], **header: Any) -> str:
    """By hand, because the library declines to sign some of what an attacker may send."""
    times = {name: int(value.timestamp()) for name, value in payload.items() if isinstance(value, datetime)}
    body = f"{part({'alg': 'EdDSA', 'kid': kid(home), **header})}.{part({**payload, **times})}"
    return f"{body}.{plain64(key(home).sign(body.encode()))}"


def part(plain: object) -> str:
    return plain64(json.dumps(plain).encode())


def plain64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize("content", [b"garbage", b"\xff\x00", b""])
def test_a_file_that_is_no_key_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "token.pem").write_bytes(content)
    with pytest.raises(ValueError, match=r"token\.pem holds no Ed25519 key"):
        issue_token(tmp_path, "p1", "property", "demo-property")


def refused(home: Path, token: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        LocalTokens(home).verify(token)
    assert str(caught.value) == ""
    assert caught.value.__cause__ is None


def test_a_good_token_says_who_and_as_what(home: Path) -> None:
    assert LocalTokens(home).verify(signed(home, claims())) == Claims("p1", "property", "demo-property")
    token = issue_token(home, "王芳", "street", "demo-street")
    assert LocalTokens(home).verify(token) == Claims("王芳", "street", "demo-street")


def test_only_a_resident_may_have_no_org(home: Path) -> None:
    token = issue_token(home, "r1", "resident", None)
    assert LocalTokens(home).verify(token) == Claims("r1", "resident", None)
    with pytest.raises(ValueError, match="org"):
        issue_token(home, "p1", "property", None)


def test_the_token_is_the_one_of_the_contract(home: Path) -> None:
    token = issue_token(home, "p1", "property", "demo-property")
    header, payload = jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})
    assert set(header) == {"kid", "alg", "typ"}
    assert header["alg"] == "EdDSA"
    assert set(payload) == {"iss", "aud", "sub", "role", "org", "iat", "exp"}
    assert payload["exp"] - payload["iat"] == 12 * 3600


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "other"},
        {"aud": ["jiesu"]},
        {"aud": None},
        {"iss": "other"},
        {"iss": ["jiesu-local"]},
        {"iss": None},
        {"exp": None},
        {"exp": datetime.now(UTC) - timedelta(seconds=5)},
        {"exp": "never"},
        {"iat": None},
        {"iat": datetime.now(UTC) + timedelta(hours=1)},
        {"nbf": datetime.now(UTC) + timedelta(hours=1)},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "anonymous"},
        {"sub": "p1\n"},
        {"sub": "p" * 200},
        {"role": None},
        {"role": "root"},
        {"role": ["property"]},
        {"role": "resident", "org": 7},
        {"role": "resident", "org": None},
        {"note": "x" * 4096},
        {"org": None},
        {"org": ""},
        {"org": {"code": "demo-property"}},
    ],
)
def test_faulty_claims_are_refused(home: Path, changed: dict[str, Any]) -> None:
    refused(home, signed(home, claims(**changed)))


def test_a_token_ends_after_twelve_hours(home: Path) -> None:
    old = issue_token(home, "p1", "property", "demo-property", now=datetime.now(UTC) - LIFETIME - timedelta(seconds=1))
    refused(home, old)
    young = issue_token(home, "p1", "property", "demo-property", now=datetime.now(UTC) - LIFETIME + timedelta(hours=1))
    assert LocalTokens(home).verify(young).person == "p1"


def test_algorithm_none_is_refused(home: Path) -> None:
    payload = {**claims(), "iat": 0, "exp": 2**40}
    for algorithm in ("none", "None", "NONE"):
        header = part({"alg": algorithm, "kid": kid(home)})
        refused(home, f"{header}.{part(payload)}.")


def test_the_public_key_is_no_hmac_secret(home: Path) -> None:
    public: Ed25519PublicKey = key(home).public_key()
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    payload = {**claims(), "iat": 0, "exp": 2**40}
    for secret in (raw, pem, pem.strip(), b""):
        body = f"{part({'alg': 'HS256', 'kid': kid(home)})}.{part(payload)}"
        mac = hmac.digest(secret, body.encode(), hashlib.sha256)
        refused(home, f"{body}.{plain64(mac)}")


def test_another_key_is_refused_even_under_our_kid(home: Path) -> None:
    refused(home, jwt.encode(claims(), Ed25519PrivateKey.generate(), "EdDSA", headers={"kid": kid(home)}))


@pytest.mark.parametrize(
    "named",
    ["keys/token.pem", "../token.pem", "/etc/passwd", "https://example.org/jwks", "file:///etc/passwd", "", " ", "%00"],
)
def test_a_kid_is_never_a_path_or_an_address(home: Path, named: str) -> None:
    refused(home, signed(home, claims(), kid=named))


def test_a_kid_matches_exactly(home: Path) -> None:
    good = kid(home)
    for other in (good + " ", good[:-1], good + "\0", "/" + good):
        refused(home, signed(home, claims(), kid=other))


@pytest.mark.parametrize("named", [None, 7, ["x"], {"x": 1}])
def test_a_kid_that_is_no_text_is_refused(home: Path, named: object) -> None:
    refused(home, signed(home, claims(), kid=named))


def test_a_key_within_the_token_is_ignored(home: Path) -> None:
    foreign = Ed25519PrivateKey.generate()
    raw = foreign.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    own = {"kty": "OKP", "crv": "Ed25519", "x": plain64(raw)}
    for header in ({"jwk": own}, {"jku": "https://example.org/jwks"}, {"x5u": "https://example.org/cert"}):
        refused(home, jwt.encode(claims(), foreign, "EdDSA", headers={"kid": kid(home), **header}))


def test_a_critical_extension_we_do_not_know_is_refused(home: Path) -> None:
    refused(home, signed(home, claims(), crit=["exp2"], exp2=1))


def test_a_changed_payload_or_signature_is_refused(home: Path) -> None:
    header, payload, signature = issue_token(home, "p1", "property", "demo-property").split(".")
    risen = part(
        {**jwt.decode(f"{header}.{payload}.{signature}", options={"verify_signature": False}), "role": "admin"}
    )
    refused(home, f"{header}.{risen}.{signature}")
    refused(home, f"{header}.{payload}.{signature[:-4]}AAAA")
    refused(home, f"{header}.{payload}.")
    refused(home, f"{header}.{payload}")


@pytest.mark.parametrize(
    "token",
    [
        "", ".", "..", "...", "a.b.c", "\ud800", "诉.诉.诉", "\0", " ", "Bearer x", "e30.e30.e30",
        part({"alg": "EdDSA"}) + ".e30.e30",
        base64.urlsafe_b64encode(b"[" * 3000).decode() + ".e30.e30",
        base64.urlsafe_b64encode(b"[]").decode() + ".e30.e30",
        "x" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_token_is_refused(home: Path, token: str) -> None:
    refused(home, token)


@given(st.text())
def test_no_text_raises_anything_else(home: Path, token: str) -> None:
    refused(home, token)


@given(st.data())
def test_a_token_with_any_changed_character_is_refused(home: Path, data: st.DataObject) -> None:
    """But for the last character, two of whose bits mean nothing in base64."""
    token = issue_token(home, "p1", "property", "demo-property")
    at = data.draw(st.integers(0, len(token) - 2))
    other = data.draw(st.characters(codec="ascii").filter(lambda char: char != token[at]))
    refused(home, token[:at] + other + token[at + 1 :])


def test_the_key_is_private_and_made_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(partial(issue_token, tmp_path, role="auditor", org="demo-street"), "abcdefgh"))
    verifier = LocalTokens(tmp_path)
    assert [verifier.verify(token).person for token in tokens] == list("abcdefgh")
    path = tmp_path / "keys" / "token.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["token.pem"]


def test_without_a_key_nothing_is_accepted_and_none_is_made(home: Path, tmp_path: Path) -> None:
    refused(tmp_path, issue_token(home, "p1", "property", "demo-property"))
    assert not (tmp_path / "keys").exists()


def test_a_replaced_key_counts_at_once(tmp_path: Path) -> None:
    verifier = LocalTokens(tmp_path)
    old = issue_token(tmp_path, "p1", "property", "demo-property")
    assert verifier.verify(old).person == "p1"
    (tmp_path / "keys" / "token.pem").replace(tmp_path / "keys" / "old.pem")
    new = issue_token(tmp_path, "p2", "property", "demo-property")
    assert verifier.verify(new).person == "p2"
    with pytest.raises(InvalidToken):
        verifier.verify(old)


@pytest.mark.parametrize("person", ["anonymous", "", " p1", "p\n1", "p" * 200])
def test_no_token_is_issued_for_such_a_person(tmp_path: Path, person: str) -> None:
    with pytest.raises(ValueError, match="person"):
        issue_token(tmp_path, person, "property", "demo-property")


# Residents who proved a phone

SECRET = b"a secret of tests, at least thirty-two bytes long"


def test_a_resident_with_a_phone_is_known_to_every_process_with_the_secret() -> None:
    token = ResidentTokens(SECRET).issue("phone:1")
    assert ResidentTokens(SECRET).verify(token) == Claims("phone:1", "resident", None)
    assert issuer_of(token) == RESIDENTS
    with pytest.raises(InvalidToken):
        ResidentTokens(b"another secret, of at least thirty-two bytes").verify(token)


def test_each_kind_of_token_is_accepted_as_that_kind_alone(home: Path) -> None:
    residents = ResidentTokens(SECRET)
    refused(home, residents.issue("phone:1"))
    with pytest.raises(InvalidToken):
        residents.verify(issue_token(home, "r1", "resident", None))


def test_such_a_token_is_for_nothing_but_being_a_resident() -> None:
    """Even with the right key."""
    residents = ResidentTokens(SECRET)
    header = jwt.get_unverified_header(residents.issue("phone:1"))
    for changed in ({"role": "admin", "org": "demo-street"}, {"iss": "jiesu-local"}, {"aud": "other"}):
        payload = {**claims(sub="phone:1", iss=RESIDENTS, role="resident"), "org": None, **changed}
        with pytest.raises(InvalidToken):
            residents.verify(jwt.encode(payload, residents._key, "EdDSA", headers={"kid": header["kid"]}))
    for person in ("", "anonymous", "r-" + "a" * 26):
        with pytest.raises(ValueError, match="name"):
            residents.issue(person)


@given(st.text())
def test_no_text_has_an_issuer_that_raises(token: str) -> None:
    assert issuer_of(token) is None
    with pytest.raises(InvalidToken):
        ResidentTokens(SECRET).verify(token)


async def test_whoever_a_token_says_it_is_of_verifies_it(home: Path) -> None:
    both = WithResidents(ResidentTokens(SECRET), LocalVerifier(LocalTokens(home)))
    assert (await both.claims(issue_token(home, "p1", "property", "demo-property"))).role == "property"
    assert (await both.claims(ResidentTokens(SECRET).issue("phone:1"))).person == "phone:1"
    forged = signed(home, claims(iss=RESIDENTS))
    for token in (forged, "", "x", "e30.e30.e30"):
        with pytest.raises(InvalidToken):
            await both.claims(token)


async def test_a_damaged_key_of_the_home_is_no_fault_of_the_token_and_is_named(tmp_path: Path) -> None:
    token = issue_token(tmp_path, "p1", "property", "demo-property")
    (tmp_path / "keys" / "token.pem").write_bytes(b"garbage!")
    with capture_logs() as lines, pytest.raises(Unavailable, match="the key of tokens is damaged"):
        await LocalVerifier(LocalTokens(tmp_path)).claims(token)
    assert [(line["event"], line["log_level"]) for line in lines] == [("tokens_cannot_be_verified", "error")]
