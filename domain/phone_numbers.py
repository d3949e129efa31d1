"""Phone numbers, as people write them."""

import re
from typing import Final

_SEPARATORS: Final = re.compile(r"[ \-()]")
_MOBILE: Final = re.compile(r"(?:\+?86)?(1[3-9][0-9]{9})", re.ASCII)


def mobile(phone: str) -> str | None:
    """A Chinese mobile number in the form ``+8613800000000``; None for any other number.

    Numbers abroad are left out, because fraudsters earn money by having texts sent to them.
    """
    found = _MOBILE.fullmatch(_SEPARATORS.sub("", phone))
    return None if found is None else f"+86{found[1]}"
