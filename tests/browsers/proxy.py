"""nginx as docs/operations.md configures it, in front of APIs of a test."""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runtime.supervisor import guarded

NGINX: Final = Path("/usr/sbin/nginx")
OPERATIONS: Final = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
_FRAME: Final = """daemon off; master_process off; worker_processes 1;
pid {folder}/nginx.pid; error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{site}
}}
"""


def documented(folder: Path, port: int, upstreams: Sequence[int], more: str = "") -> str:
    """The configuration that the page tells, with this test's ports and certificate, and `more` in its `location /`."""
    found = re.search(r"```nginx\n(.*?)```", OPERATIONS.read_text("utf-8"), re.DOTALL)
    assert found is not None
    site = re.sub(r"upstream jiesu \{.*?\n\}\n", "", found[1], flags=re.DOTALL)
    servers = "".join(f"server 127.0.0.1:{each}; " for each in upstreams)
    assert "listen 443 ssl;" in site
    site = site.replace("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;").replace(
        "http://jiesu;", f"http://up{port};"
    )
    site = re.sub(r"/etc/ssl/(?:private/)?(jiesu\.\w+)", rf"{folder}/\1", site)
    return f"upstream up{port} {{ {servers}}}\n" + site.replace("location / {", f"location / {{\n        {more}")


@contextlib.asynccontextmanager
async def nginx(folder: Path, *sites: str) -> AsyncIterator[None]:
    """Runs it; skips where it is not installed, and fails there if `.ci/run` is at work."""
    if not NGINX.exists():
        missing = f"no {NGINX}: apt-get install nginx-light"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    _certify(folder)
    config = folder / "nginx.conf"
    config.write_text(_FRAME.format(folder=folder, site="\n".join(sites)), "utf-8")
    command = guarded([str(NGINX), "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")])
    running = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(60):
            while not (folder / "nginx.pid").exists() or not (folder / "nginx.pid").read_text():
                assert running.returncode is None, (folder / "error.log").read_text("utf-8")
                await asyncio.sleep(0.05)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.terminate()
        await running.wait()


def _certify(folder: Path) -> None:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jiesu")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "jiesu.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "jiesu.key").write_bytes(key.private_bytes(*plain))
