"""Parts of the redirect sign-in: the PKCE challenge (RFC 7636), the callback's path, and the page to return to."""

import hashlib
from typing import Final

from runtime import base64url

CALLBACK: Final = "/session/callback"
_LONGEST_PATH: Final = 512


def challenge(verifier: str) -> str:
    """The PKCE challenge (S256) of a verifier."""
    return base64url.encode(hashlib.sha256(verifier.encode()).digest())


def local_path(wanted: str) -> str:
    """The page to return to after sign-in if it is a path of this origin, else ``/``.

    Browsers read a backslash as a slash, ignore tabs and line ends, and take two slashes as the start of a host.
    """
    is_local = (
        wanted.startswith("/")
        and not wanted.startswith("//")
        and len(wanted) <= _LONGEST_PATH
        and wanted.isascii()
        and wanted.isprintable()
        and "\\" not in wanted
        and " " not in wanted
    )
    return wanted if is_local else "/"
