"""Parts of browser sign-in: the PKCE challenge (RFC 7636), the path of the callback, and the page shown afterwards."""

import hashlib
from typing import Final

from runtime import base64url

CALLBACK: Final = "/session/callback"
_LONGEST_PATH: Final = 512


def challenge(verifier: str) -> str:
    """The PKCE challenge (S256) of a verifier."""
    return base64url.encode(hashlib.sha256(verifier.encode()).digest())


def local_path(wanted: str) -> str:
    """The page to show after sign-in: `wanted` if it is a path of this origin, else ``/``.

    A path with two slashes at its start, a backslash, a tab or a line end is refused as well: browsers take two slashes
    for the start of a host, read a backslash as a slash, and ignore tabs and line ends.
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
