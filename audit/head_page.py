"""The page that shows a tree head on one sheet of paper, for keeping: nobody can change a printed head by way of the
database.
"""

import base64
import hashlib
import html
import io
from typing import Final
from zoneinfo import ZoneInfo

import segno

from audit.notes import NoteError, VerifierKey, parse, signed_by, split
from domain.wire import format_time

_HERE: Final = ZoneInfo("Asia/Shanghai")
_PAGE: Final = """<!DOCTYPE html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src '{policy}'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>诉求档案树头 <small lang="en">Tree head of the issue archive</small></h1>
<dl>
<dt>日志 <small lang="en">Log</small></dt><dd>{origin}</dd>
<dt>日期 <small lang="en">Date</small></dt><dd>{date} <small>{time}</small></dd>
<dt>已归档诉求 <small lang="en">Issues archived</small></dt><dd>{size}</dd>
<dt>树根 <small lang="en">Root</small></dt><dd><code>{root}</code></dd>
<dt>首个公钥的指纹 <small lang="en">Fingerprint of the log's first key (SHA-256)</small></dt><dd><code>{fingerprint}</code></dd>
<dt>首个公钥 <small lang="en">The log's first key</small></dt><dd><code>{vkey}</code></dd>
</dl>
<figure>{code}</figure>
<p>扫描二维码，把得到的文字存为 head.txt。以后拿到任何档案导出包，都可核对它是否由这一树头延续而来：</p>
<p lang="en">Scan the code and keep its text as head.txt. Any later export can then be checked to continue this head:</p>
<p><code>python verifier.py BUNDLE --key '{vkey}' --head head.txt</code></p>
<pre>{note}</pre>
</body>
</html>
"""
_STYLE: Final = """
body { max-width: 42em; margin: 2em auto; padding: 0 1em; font: 16px/1.5 serif; color: #000; background: #fff; }
small { color: #555; font-weight: normal; }
dt { margin-top: .6em; }
dd { margin: 0; font-size: 1.1em; }
code, pre { font-family: monospace; font-size: 1rem; overflow-wrap: anywhere; white-space: pre-wrap; }
figure { margin: 1em 0; }
svg { width: 6cm; height: 6cm; }
@page { size: A4; margin: 15mm; }
@media print { body { margin: 0 auto; font-size: 12px; } h1 { margin: 0; } code, pre { font-size: 11px; } }
"""


def page(note: str, vkey: str, first_vkey: str | None = None) -> str:
    """The page of the head in `note` as one HTML file that loads nothing. Raises NoteError unless the key `vkey` has
    signed the head.

    The signature is verified because the printed page may be kept for years before somebody checks it. The page shows
    the log's first key (`first_vkey`), which auditors pin. After a rotation the key that signed is a later one.
    """
    key, signer = VerifierKey.parse(first_vkey or vkey), VerifierKey.parse(vkey)
    text, _ = split(note)
    head, signatures = parse(note)
    if not signed_by(text, signatures, signer):
        raise NoteError(f"the head is not signed by {signer.name}+{signer.id.hex()}")
    shown = {
        "title": f"{head.origin} {head.size}",
        "origin": head.origin,
        "date": head.at.astimezone(_HERE).strftime("%Y-%m-%d %H:%M:%S"),
        "time": format_time(head.at),
        "size": str(head.size),
        "root": _fours(head.root),
        "fingerprint": _fours(hashlib.sha256(key.public).digest()),
        "vkey": str(key),
        "note": note,
    }
    policy = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    escaped = {name: html.escape(value) for name, value in shown.items()}
    return _PAGE.format(**escaped, policy=policy, style=_STYLE, code=qr_code(note))


def qr_code(text: str) -> str:
    """A QR code of exactly this text, encoded as UTF-8, as an SVG element."""
    drawn = io.BytesIO()
    code = segno.make_qr(text, encoding="utf-8", error="m")
    code.save(drawn, kind="svg", xmldecl=False, svgns=False, omitsize=True, nl=False)
    return drawn.getvalue().decode()


def _fours(value: bytes) -> str:
    return value.hex(" ", 2)
