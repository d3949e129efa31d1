"""Makes hostile inputs from valid ones: JSON trees, lines of text and bytes, altered at random by a given generator."""

import copy
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

TEXTS: Final = (
    "", " ", "\x00", "a\x00b", "\ud800", "x\udfff", "\u202e", "\u2066x", "\ufeff", "\x1b[31m", "\r\n", "\n", "\t", "漏水",
    "😀", "é" * 300, "x" * 5000, "=1+1", "＝1+1", "@x", "' OR 1=1 --", "<script>", "../../etc/passwd", "%s%n", "{}",
    "null", "NaN", "-0", "1e999", "0x10", "True", "2026-11-24T08:00:00.000Z", "2026-11-24T08:00:00", "2026-02-30",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "20260101", "2026-W05-6", "24:00-00:00",
    "sealed:", "sealed:k:", "sealed:k:bm9ib2R5", "sealed:k:!!", "sealed:" + "k" * 65 + ":aa", "property", "street",
    "reporter", "accept", "leak", "issue-1", "9999999999nd", "1wd", "-1s", "1.5s", "0s", "1sm", "٣s", "²", "1" * 40,
)  # fmt: skip
NUMBERS: Final = (
    0, 1, -1, 2, 31, 32, 255, 2**31 - 1, 2**31, -(2**31) - 1, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 10**400, 0.0, -0.0,
    0.1, 0.999, 1.0, 1e308, 5e-324, float("inf"), float("-inf"), float("nan"), True, False,
)  # fmt: skip
BYTES: Final = (
    b"\x00", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\r", b"\n", b'"', b"'", b"\\",
    b"{", b"}", b"[", b"]", b",", b":", b"=", b"#", b"\xe2\x80\xae", b"\x1f\x8b", b"\\ud800", b"1e999", b"null",
)  # fmt: skip
DEEP: Final = (2, 30, 33, 200, 3000)


def value(rng: Random) -> Any:
    """Something that may stand where anything stands."""
    match rng.randrange(8):
        case 0 | 1 | 2:
            return rng.choice(TEXTS)
        case 3 | 4:
            return rng.choice(NUMBERS)
        case 5:
            return None
        case 6:
            return rng.choice(([], {}, [None], [[]], {"": ""}, [1, "a"], {"a": {"b": 1}}))
        case _:
            return "".join(
                chr(
                    rng.choice(
                        (
                            rng.randrange(128),
                            rng.randrange(0x3000),
                            0xD800 + rng.randrange(2048),
                            rng.randrange(0x110000),
                        )
                    )
                )
                for _ in range(rng.randrange(12))
            )


def tree(rng: Random, plain: Any, others: Sequence[Any]) -> Any:
    """A copy of a JSON value with one to four places altered; parts of `others` may be grafted on."""
    root = [copy.deepcopy(plain)]
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        holders = _holders(root)
        holder = rng.choice(holders)
        rng.choice(_OPERATIONS)(rng, holder, holders, others)
    return root[0]


def encoded(rng: Random, plain: Any) -> bytes:
    """The JSON of a value, now and then not quite."""
    text = json.dumps(plain, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, None, None, 1)))
    data = text.encode("utf-8", "surrogatepass")
    return raw(rng, data) if rng.random() < 0.15 else data


def raw(rng: Random, data: bytes) -> bytes:
    """The bytes with one to six places altered."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        at = rng.randrange(len(found) + 1)
        match rng.randrange(7):
            case 0:
                found[at:at] = rng.choice(BYTES)
            case 1:
                found[at : at + 1] = bytes((rng.randrange(256),))
            case 2:
                del found[at : at + rng.choice((1, 2, 8, 64))]
            case 3:
                other = rng.randrange(len(found) + 1)
                found[at:at] = found[other : other + rng.randrange(40)]
            case 4:
                del found[at:]
            case 5:
                found[at:at] = rng.choice((b"[", b'{"a":', b'"', b"(")) * rng.choice(DEEP)
            case _:
                if at < len(found):
                    found[at] ^= 1 << rng.randrange(8)
    return bytes(found)


def rows(rng: Random, text: str, separator: str, cells: Sequence[str]) -> str:
    """A text of lines, each of parts between separators, with some lines and parts altered; `cells` are fitting parts."""
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(lines))
        match rng.randrange(8):
            case 0:
                lines.insert(at, lines[rng.randrange(len(lines))])
            case 1 if len(lines) > 1:
                del lines[at]
            case 2:
                other = rng.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                lines[at] = lines[at] + rng.choice((separator, '"', "\r", " ", "\\")) * rng.choice((1, 2, 500))
            case _:
                parts = lines[at].split(separator)
                parts[rng.randrange(len(parts))] = _part(rng, cells)
                lines[at] = separator.join(parts)
    return "\n".join(lines)


def _part(rng: Random, cells: Sequence[str]) -> str:
    return rng.choice(cells) if rng.random() < 0.6 else str(value(rng))


Holder = list[Any] | dict[str, Any]


def _holders(root: Holder) -> list[Holder]:
    """Every list and object that holds something, without recursion."""
    found: list[Holder] = []
    left: list[Any] = [root]
    while left:
        each = left.pop()
        if isinstance(each, (list, dict)) and each:
            found.append(each)
            left += each.values() if isinstance(each, dict) else each
    return found


def _key(rng: Random, holder: Holder) -> Any:
    return rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))


def _replace(rng: Random, holder: Holder, holders: list[Holder], others: Sequence[Any]) -> None:
    holder[_key(rng, holder)] = value(rng)


def _delete(rng: Random, holder: Holder, holders: list[Holder], others: Sequence[Any]) -> None:
    if holder is not holders[0]:
        del holder[_key(rng, holder)]


def _add(rng: Random, holder: Holder, holders: list[Holder], others: Sequence[Any]) -> None:
    if isinstance(holder, dict):
        holder[rng.choice(("id", "at", "actor", "body", "grants", "text", "level", "root", str(value(rng))))] = value(
            rng
        )
    else:
        holder.append(value(rng))


def _rename(rng: Random, holder: Holder, holders: list[Holder], others: Sequence[Any]) -> None:
    if isinstance(holder, dict):
        holder[str(value(rng))] = holder.pop(_key(rng, holder))


def _swap(rng: Random, holder: Holder, holders: list[Holder], others: Sequence[Any]) -> None:
    other = rng.choice(holders)
    mine, its = _key(rng, holder), _key(rng, other)
    holder[mine], other[its] = copy.deepcopy(other[its]), copy.deepcopy(holder[mine])


def _nest(rng: Random, holder: Holder, holders: list[Holder], others: Sequence[Any]) -> None:
    key = _key(rng, holder)
    inner = holder[key]
    for _ in range(rng.choice((1, 1, 2, 30, 33, 90))):
        inner = [inner] if rng.random() < 0.5 else {"a": inner}
    holder[key] = inner


def _repeat(rng: Random, holder: Holder, holders: list[Holder], others: Sequence[Any]) -> None:
    if isinstance(holder, list):
        holder += [copy.deepcopy(rng.choice(holder))] * rng.choice((1, 2, 60))


def _graft(rng: Random, holder: Holder, holders: list[Holder], others: Sequence[Any]) -> None:
    source = rng.choice(_holders([rng.choice(others)]))
    holder[_key(rng, holder)] = copy.deepcopy(source[_key(rng, source)])


def _tweak(rng: Random, holder: Holder, holders: list[Holder], others: Sequence[Any]) -> None:
    """A text that is nearly what it was."""
    key = _key(rng, holder)
    held = holder[key]
    if isinstance(held, str) and held:
        at = rng.randrange(len(held))
        holder[key] = held[:at] + rng.choice((rng.choice(TEXTS), chr(rng.randrange(0x3000)))) + held[at + 1 :]
    elif isinstance(held, int):
        holder[key] = held + rng.choice((-1, 1, 2**31))


_OPERATIONS: Final[tuple[Callable[[Random, Holder, list[Holder], Sequence[Any]], None], ...]] = (
    _replace, _replace, _delete, _add, _rename, _swap, _nest, _repeat, _graft, _tweak, _tweak,
)  # fmt: skip
