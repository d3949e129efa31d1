"""Further fuzz targets: what people type, what proxies and queries say, and workbooks."""

import asyncio
import io
import os
import re
import tempfile
import zipfile
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import Annotated, Any, Final
from unittest.mock import patch
from urllib.parse import quote

from fastapi import Depends, FastAPI

from api.http import problems
from api.identity import authenticator
from api.routes import forms, lists
from cli import workbook
from cli.errors import Failure
from db import search
from db.queries import Filters
from protocol.text_rules import unfit
from runtime.proxies import Proxies, network_of
from security import ids, phone_numbers
from support.xlsx import write_xlsx
from tests.fuzz import mutate
from tests.fuzz.run import Target

_SIGNS: Final = tuple(
    "0123456789０１２３４５６７８９٣²+＋-－—‐.。·()（） \u00a0\u3000\u200e\u202d\u202c\u2066#,;，转轉接分机x\ufeff\u0301㈠①Ⅷ一壹"
)


def _altered(rng: Random, text: str, signs: Sequence[str]) -> str:
    """The text with some signs put in, left out or exchanged."""
    found = list(text)
    for _ in range(rng.choice((0, 1, 1, 2, 4, 12))):
        at = rng.randrange(len(found) + 1)
        match rng.randrange(4):
            case 0:
                found[at : at + 1] = []
            case 1:
                found[at : at + 1] = rng.choice(signs)
            case 2:
                found[at:at] = rng.choice(signs) * rng.choice((1, 1, 3, 200))
            case _:
                found[at:at] = str(mutate.value(rng))[:200]
    return "".join(found)


_PHONES: Final = (
    "13812345678", "+86 138 1234 5678", "0086-13812345678", "１３８１２３４５６７８", "138-1234-5678转801", "(+86)13812345678",
    "13812345678,801", "\u202a138 1234 5678\u202c", "013812345678", "021-63210000", "4008001234", "+8528123456", "12345",
)  # fmt: skip


def _take_phone(given: str) -> str:
    """A number is a Chinese mobile number in one form; that form is read as itself, however often it is kept."""
    found, kept = phone_numbers.read(given), phone_numbers.kept(given)
    assert phone_numbers.kept(kept) == kept
    if found is None:
        return "kept as typed"
    assert re.fullmatch(r"\+861[3-9][0-9]{9}", found.number, re.ASCII)
    assert found.extension == "" or found.extension.isdecimal()
    assert phone_numbers.read(kept) == found
    return "with extension" if found.extension else "number"


_NAMES: Final = (
    "JS-7K3QM-2ZP9X", "js7k3qm2zp9x", "ＪＳ－7K3QM－2ZP9X。", "mine", "ｍｉｎｅ", "a" * 26, "7K3QM-2ZP9X-00000-ABCDE", "JS-",
    "7k3qm 2zp9x 00000 abcde",
)  # fmt: skip


def _take_name(given: str) -> str:
    """A number is one in the form in which it is stored; a code has a hash, the same however it is typed."""
    number = search.whole_number(given)
    sent = authenticator._typed(given.encode("utf-8", "surrogatepass").decode("latin-1"))  # pyright: ignore[reportPrivateUsage]
    assert sent is not None
    assert re.fullmatch(r"[0-9a-f]{64}", ids.tracking_hash(given))
    assert ids.tracking_hash(ids.typed(given)) == ids.tracking_hash(given)
    if number is None:
        return "no number" if sent else "too long"
    assert re.fullmatch(r"JS-[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}", number)
    assert search.whole_number(number) == number
    return "number"


_FRONT: Final = Proxies("10.0.0.0/8, 2001:db8:f::/48")
_HOPS: Final = (
    "192.0.2.7", "192.0.2.7:80", "2001:db8::7", '"[2001:db8::7]:80"', "::ffff:10.1.2.3", "10.1.2.3", "unknown", "_x", "",
    "fe80::1%eth0", "999.1.1.1", "0x7f.1", "1", "for=192.0.2.7", 'for="x', "proto=https", ";", '"', "=", "127.0.0.1", "::",
)  # fmt: skip
_REAL: Final = "203.0.113.9"
Asked = tuple[str, list[tuple[bytes, bytes]]]


def _hops(rng: Random) -> Asked:
    """Whatever a caller writes, and behind it what the proxy adds: where it was asked from."""
    said: list[tuple[bytes, bytes]] = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        hops = [_altered(rng, rng.choice(_HOPS), _SIGNS[:40]) for _ in range(rng.choice((0, 1, 2, 3, 400)))]
        written = rng.choice((", ", ",", ";", " ")).join(hops).encode("utf-8", "replace")
        said.append((rng.choice((b"x-forwarded-for", b"forwarded", b"x-forwarded-proto", b"x-real-ip")), written))
    said.append(rng.choice(((b"x-forwarded-for", _REAL.encode()), (b"forwarded", b"for=" + _REAL.encode()))))
    return rng.choice(("10.1.2.3", "2001:db8:f::1", "192.0.2.200", "127.0.0.1", "")), said


def _take_hops(given: Asked) -> str:
    """It is the one who asked the proxy, or where that is not sure the proxy; nobody passes for somebody else."""
    peer, headers = given
    address, scheme = _FRONT.origin(peer, headers)
    assert scheme in (None, "http", "https")
    assert address in (peer, _REAL) if peer.startswith(("10.", "2001:")) else address == peer
    for _, value in headers:
        network_of(value.decode("latin-1"))
    if address:
        assert ip_address(network_of(address).partition("/")[0])
    return "the caller" if address == _REAL else "the peer"


_app: Final = FastAPI()
problems.install(_app)


@_app.get("/")
async def _asked(
    wanted: Annotated[Filters, Depends(lists.filters)], cursor: forms.After = "", limit: forms.Limit = 1,
    person: lists.FitWord = None,
) -> dict[str, int]:  # fmt: skip
    texts = [value for value in (wanted.org, wanted.compound, wanted.q, person, cursor) if value is not None]
    assert not [text for text in texts if unfit(text) or len(text) > 200]
    assert all(at is None or at.utcoffset() is not None for at in (wanted.since, wanted.until))
    return {"limit": limit}


_QUERIES: Final = {
    "level": "street", "status": "accepted", "org": "demo-street", "compound": "demo", "category": "leak", "overdue": "true",
    "q": "JS-7K3QM", "from": "2026-11-01T00:00:00+08:00", "until": "2026-12-01T00:00:00Z", "cursor": "demo", "limit": "20",
    "person": "p1",
}  # fmt: skip


def _query(rng: Random) -> bytes:
    parts: list[str] = []
    for name in rng.sample(sorted(_QUERIES), rng.choice((1, 2, 4))):
        value = _altered(rng, _QUERIES[name], _SIGNS) if rng.random() < 0.7 else str(mutate.value(rng))[:3000]
        parts.append(f"{name}={quote(value.encode('utf-8', 'surrogatepass'))}")
    query = "&".join(parts).encode()
    return mutate.raw(rng, query) if rng.random() < 0.2 else query


def _take_query(given: bytes) -> str:
    """A query is taken with texts that may go into a database and times that have a zone, or is invalid."""
    status: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    scope = {
        "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": given, "headers": [],
        "http_version": "1.1", "scheme": "http", "root_path": "", "client": ("192.0.2.7", 1), "server": ("a", 80), "state": {},
    }  # fmt: skip
    asyncio.run(_app(scope, receive, send))
    assert status in ([200], [422])
    return str(status[0])


_SHEET: Final = "xl/worksheets/sheet1.xml"
_FOLDER: Final = tempfile.TemporaryDirectory(prefix="jiesu-fuzz-")


def _parts() -> dict[str, bytes]:
    rows = [["code", "name", "n"], ["north", "北街道", 1.38e10], ["south", "南街道", 320602001], [None, "x", True]]
    with zipfile.ZipFile(write_xlsx(Path(_FOLDER.name) / "sound.xlsx", {"streets": rows, "b": [["x"]]})) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


_SOUND: Final = _parts()
_PLACES: Final = (
    b'r="A1"',
    b'r="ZZ99"',
    b"r='CZ9000'",
    b'r="az700"',
    b'r="1A"',
    b'r=""',
    b"",
    b'r="A1" r="B9000"',
    b'r="&#90;Z900"',
)
_TYPES: Final = (
    b't="s"',
    b't="b"',
    b't="e"',
    b't="d"',
    b't="str"',
    b't="n"',
    b't="inlineStr"',
    b"",
    b's="1"',
    b's="99999"',
)
_VALUES: Final = (
    b"1", b"1e999", b"-1", b"2958466", b"99999999999999999999", b"nan", b"", b"x", b"2026-01-31", b"2026-02-30T25:00:00", b"1.5", b"0",
)  # fmt: skip


def _workbook(rng: Random) -> bytes:
    parts = dict(_SOUND)
    name = _SHEET if rng.random() < 0.7 else rng.choice(sorted(parts))
    if rng.random() < 0.6:
        cell = b"<c %s %s><v>%s</v></c>" % (rng.choice(_PLACES), rng.choice(_TYPES), rng.choice(_VALUES))
        parts[_SHEET] = parts[_SHEET].replace(b"</row>", cell + b"</row>", rng.choice((1, -1)))
    else:
        parts[name] = mutate.raw(rng, parts[name])
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as packed:
        for part, content in parts.items():
            packed.writestr(
                zipfile.ZipInfo(part), content, packed.compression
            )  # of no time: the same for the same seed
    return mutate.raw(rng, held.getvalue()) if rng.random() < 0.25 else held.getvalue()


_CELLS: Final = 100_000


def _take_workbook(given: bytes) -> str:
    """Sheets of text that span no more than they may, or a failure in words."""
    file = Path(_FOLDER.name) / f"{os.getpid()}.xlsx"
    file.write_bytes(given)
    with patch.object(workbook, "_MOST_CELLS", _CELLS):
        try:
            found = workbook.sheets(file)
        except Failure as failure:
            assert str(failure)
            return "refused"
    assert sum(len(row) for rows in found.values() for row in rows) <= _CELLS
    assert all(isinstance(cell, str) for rows in found.values() for row in rows for cell in row)
    return "read"


TARGETS: Final = (
    Target("phones", lambda rng: _altered(rng, rng.choice(_PHONES), _SIGNS), _take_phone),
    Target("names", lambda rng: _altered(rng, rng.choice(_NAMES), _SIGNS), _take_name),
    Target("proxies", _hops, _take_hops),
    Target("queries", _query, _take_query),
    Target("workbooks", _workbook, _take_workbook),
)
SHARES: Final = {"phones": 100_000, "names": 100_000, "proxies": 100_000, "queries": 30_000, "workbooks": 50_000}
