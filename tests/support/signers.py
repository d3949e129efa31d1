"""A signer for tests: the same in every process, certified for longer than any test takes."""

from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from security.credentials import Signer
from security.signing import Credentials, certify, name_of


def lasting_signer() -> Signer:
    root, private = (Ed25519PrivateKey.from_private_bytes(bytes([n] * 32)) for n in (1, 2))
    name = name_of(root.public_key())
    certificate = certify(
        root, private.public_key(), datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    )
    held = Credentials(private, {name: certificate}, name)
    return Signer(lambda: held)
