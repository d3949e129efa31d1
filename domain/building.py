"""What a report says about where: which building, and whether it is about the inside of somebody's flat.

Texts are sealed before the rules see them, so both are read once, when the report is taken in.
"""

import re
import unicodedata
from typing import Final

_DIGITS: Final = str.maketrans("零〇一二三四五六七八九两", "001234567892")
_TENS: Final = re.compile(r"(?<![0-9])([1-9]?)十([1-9]?)(?![0-9])")
_HOUSE: Final = r"(?:号楼|号院楼|幢|栋|座|号大楼|#楼|#)"
_BUILDING: Final = re.compile(
    rf"([0-9]{{1,4}}|[A-Z][0-9]{{0,3}})\s*{_HOUSE}|(?<![0-9-])([0-9]{{1,3}})-[0-9]{{1,2}}-[0-9]{{3,4}}(?![0-9])"
)
_ROOM: Final = re.compile(
    r"(?<![0-9])[0-9]{3,4}\s*(?:室|户|房|家|号房|住户|门)"
    rf"|{_HOUSE}\s*[0-9]{{3,4}}(?![0-9米号])"
    r"|单元\s*[0-9]{3,4}(?![0-9米])"
    r"|(?<![0-9-])[0-9]{1,3}-(?:[0-9]{1,2}-)?[0-9]{3,4}(?![0-9-])"
    r"|室内|屋里|屋内|家里|家中|家内|我家|入户|厨房|卧室|客厅|卫生间|洗手间|阳台|书房"
)
_BARE: Final = re.compile(r"(?<![0-9])[0-9]{3,4}(?![0-9米路弄号幢栋座#-])")
"""A number that stands alone in the field for the place is that of a door."""


def building(location: str, description: str = "") -> str:
    """The building that a report names, as its number or letter: ``3`` for 3幢, 3栋, 三号楼 and 3-2-501; else ``""``."""
    for text in (location, description):
        if (found := _BUILDING.search(one_form(text))) is not None:
            return found[1] or found[2]
    return ""


def before_building(text: str) -> str:
    """What stands before the building that the text names: ``花园`` of 花园三号楼; the whole text if it names none."""
    plain = one_form(text)
    found = _BUILDING.search(plain)
    return plain if found is None else plain[: found.start()]


def is_common(location: str, description: str) -> bool:
    """Whether a report is about what neighbours share. In doubt it is not: then only staff join it with another.

    A report that names no place at all, or anything that belongs to a flat, is not.
    """
    place, said = one_form(location), one_form(description)
    if not place.strip() and not building(description):
        return False
    return not (_ROOM.search(place) or _ROOM.search(said) or _BARE.search(place))


def one_form(text: str) -> str:
    """The text with one form of each letter and digit, and Chinese numerals below a hundred as digits."""
    text = unicodedata.normalize("NFKC", text).upper().translate(_DIGITS)
    return _TENS.sub(lambda found: f"{found[1] or 1}{found[2] or 0}", text)
