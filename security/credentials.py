"""Loads the credentials with which a process signs commands.

The embedded default has its own root, a key that certifies the keys that sign commands. A deployment has a folder.

In a deployment the private key of the root is offline. The operator certifies a key for some days (`jiesu keys
certify`) and replaces the files in the folder; running processes reload them.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from domain.wire import format_time
from runtime.files import replace_file
from security.signing import Credentials, certify, name_of, sign

Now = Callable[[], datetime]
Source = Callable[[], Credentials]

PRIVATE: Final = "key.pem"
CERTIFICATES: Final = "certificates.json"
"""The file ``{"root": <root>, "certificates": {<root>: <certificate>}}``.

`root` is the root that new issues pin. `certificates` holds, by root, that root's certificate of the key.
"""
LIFETIME: Final = timedelta(hours=24)
"""How long a key of the embedded default is valid. After half that time a new key replaces it."""
_EARLY: Final = timedelta(minutes=1)
"""So long before the creation of a key its certificate begins, to cover a command stamped a moment earlier."""


class CredentialsError(RuntimeError):
    """A process cannot sign commands. The message may name a file, and never shows what is in it."""


class Signer:
    """Signs commands for one process, with the credentials that its source gives at that moment."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def root(self) -> str:
        """The root that new issues pin, as the text of its public key."""
        return self._source().root

    def ends_before(self, moment: datetime) -> bool:
        """Whether the operator must certify a key before `moment`, which its present certificate does not cover.

        Always False in the embedded default, which certifies its keys itself. Raises CredentialsError.
        """
        return not isinstance(self._source, OwnRoot) and not self.covers(moment)

    @property
    def roots(self) -> tuple[str, ...]:
        """The roots that have certified the current key."""
        return tuple(sorted(self._source().certificates))

    @property
    def public(self) -> str:
        """The public part of the current key, as text (`name_of`)."""
        return name_of(self._source().private.public_key())

    def sign(self, root: str, issue: str, name: str, envelope: dict[str, Any]) -> dict[str, Any]:
        """The envelope of command `name` to `issue`, with its proof: a signature, and a certificate by `root`.

        Raises CredentialsError unless the current key has a certificate by `root` that covers the envelope's time.
        """
        current = self._source()
        certificate = current.certificates.get(root)
        if certificate is None:
            raise CredentialsError("no certificate by the root of this issue")
        if not certificate["from"] <= envelope["at"] < certificate["until"]:
            raise CredentialsError(f"certified from {certificate['from']} to {certificate['until']} only")
        return sign(current, root, issue, name, envelope)

    def covers(self, moment: datetime) -> bool:
        """Whether the certificate by the root of new issues covers `moment`. Raises CredentialsError."""
        current = self._source()
        certificate = current.certificates[current.root]
        return certificate["from"] <= format_time(moment) < certificate["until"]


class OwnRoot:
    """The source of credentials in the embedded default.

    This process generates keys in memory, renews them, and certifies them with the root in the home.
    """

    def __init__(self, root: Ed25519PrivateKey, clock: Now = lambda: datetime.now(UTC)) -> None:
        self._root = root
        self._clock = clock
        self._held: tuple[datetime, Credentials] | None = None

    def __call__(self) -> Credentials:
        now = self._clock()
        if self._held is None or now >= self._held[0]:
            private, root = Ed25519PrivateKey.generate(), name_of(self._root.public_key())
            certificate = certify(self._root, private.public_key(), now - _EARLY, now + LIFETIME)
            self._held = now + LIFETIME / 2, Credentials(private, {root: certificate}, root)
        return self._held[1]


class Folder:
    """The source of credentials in a deployment: a folder with ``key.pem`` and ``certificates.json``.

    They are reloaded when one of them is replaced.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp: tuple[int, ...] = ()
        self._held: Credentials | None = None

    def __call__(self) -> Credentials:
        files = (self._folder / PRIVATE, self._folder / CERTIFICATES)
        try:
            stamp = tuple(part for file in files for part in (file.stat().st_ino, file.stat().st_mtime_ns))
            if self._held is None or stamp != self._stamp:
                self._held, self._stamp = self._read(*files), stamp
        except (OSError, CredentialsError) as error:
            # The files are replaced one after the other: the old credentials sign until both are new.
            if self._held is None:
                raise CredentialsError(_message(error)) from None
        return self._held

    def _read(self, private: Path, certificates: Path) -> Credentials:
        key = load_private(private)
        try:
            plain = cast("dict[str, Any]", json.loads(certificates.read_bytes()))
            root, found = str(plain["root"]), dict(plain["certificates"])
            of_this_key = all(each["key"] == name_of(key.public_key()) for each in found.values())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CredentialsError(f"{certificates}: not what `jiesu keys certify` writes") from None
        if root not in found or not of_this_key:
            raise CredentialsError(f"{certificates}: certifies another key than {private.name}, or not by its root")
        return Credentials(key, found, root)


def _message(error: OSError | CredentialsError) -> str:
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)


def load_private(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 key in a PEM file of mode 0600 or stricter. Raises CredentialsError, OSError."""
    if path.stat().st_mode & 0o077:
        raise CredentialsError(f"{path}: others may read it: chmod 600")
    return parse_private(path, path.read_bytes())


def parse_private(path: Path, pem: bytes) -> Ed25519PrivateKey:
    """The Ed25519 key in PEM bytes. Raises CredentialsError, which names the file."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise CredentialsError(f"{path}: not an Ed25519 key without password, in PEM")
    return key


def new_private() -> bytes:
    """A new Ed25519 key in PEM."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_folder(
    folder: Path, root: Ed25519PrivateKey, since: datetime, until: datetime, kept: Path | None = None
) -> None:
    """Writes a key and its certificate by `root` into `folder`, as `Folder` reads them.

    The key is new. With `kept`, another such folder, the key is copied from there, together with its certificates by
    other roots.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = (kept / PRIVATE).read_bytes() if kept else new_private()
    key = parse_private(folder / PRIVATE, pem)
    known: dict[str, Any] = json.loads((kept / CERTIFICATES).read_bytes())["certificates"] if kept else {}
    name = name_of(root.public_key())
    plain = {"root": name, "certificates": {**known, name: certify(root, key.public_key(), since, until)}}
    replace_file(folder / PRIVATE, pem.decode())
    replace_file(folder / CERTIFICATES, json.dumps(plain, indent=1))
