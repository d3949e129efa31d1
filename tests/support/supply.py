"""Supply chain: writes NOTICE from the runtime lock, and looks up known vulnerabilities of the locked packages.

``python -m support.supply notice`` and ``python -m support.supply vulnerabilities``, by `make`.
"""

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
RUNTIME: Final = ROOT / "constraints.txt"
DEVELOPMENT: Final = ROOT / "requirements.lock"
NOTICE: Final = ROOT / "NOTICE"
_PINNED: Final = re.compile(r"([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)")
_SPDX: Final[Mapping[str, str]] = {
    "MIT License": "MIT", "BSD License": "BSD-3-Clause", "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0", "ISC License": "ISC", "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}  # fmt: skip
"""How packages call their licences, where they do not say it as SPDX does."""
_ELSEWHERE: Final[Mapping[str, str]] = {"colorama": "BSD-3-Clause"}
"""Licences of packages that are installed on other systems only."""
_HEAD: Final = """\
Jiesu
Copyright 2026 the authors of Jiesu

This product is licensed under the Apache License, Version 2.0; see LICENSE.

db/letters.txt is made from OpenCC's table of single letters (Apache License, Version 2.0, https://github.com/BYVoid/OpenCC)
and from the Unicode Character Database (Unicode License V3, https://www.unicode.org/license.txt).

It runs on the packages below, each under its own licence. They are not part of this repository: they are installed from
the runtime lock (constraints.txt), and their licence texts come with them. Made by `make notice`.

"""


@dataclass(frozen=True, order=True)
class Pinned:
    """A package of a lock file, in one version."""

    name: str
    version: str


def pinned(lock: Path) -> list[Pinned]:
    """Every package that a lock file names."""
    return [Pinned(*found.groups()) for line in lock.read_text("utf-8").splitlines() if (found := _PINNED.match(line))]


def licence(name: str) -> str | None:
    """The licence that an installed package states, as SPDX calls it; None where it is not installed and not known."""
    try:
        stated = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return _ELSEWHERE.get(name)
    if expression := stated.get("License-Expression"):
        return expression
    classifiers = [each.split(" :: ")[-1] for each in stated.get_all("Classifier", []) if each.startswith("License ::")]
    field = (stated.get("License") or "").strip()
    found = [field] if field and "\n" not in field else classifiers
    return " OR ".join(_SPDX.get(each, each) for each in found) or None


def notice() -> str:
    """The text of NOTICE. Raises LookupError for a package without a licence."""
    lines: list[str] = []
    for each in pinned(RUNTIME):
        if (found := licence(each.name)) is None:
            raise LookupError(f"{each.name} states no licence, or is not installed here")
        lines.append(f"{each.name} {each.version}: {found}\n")
    return _HEAD + "".join(lines)


def judged(answer: str, total: int) -> tuple[int, str]:
    """What pip-audit's JSON means for `total` packages: an exit code, and a line or more for people.

    0: none is known to be vulnerable; 1: some are; 2: it is not known, since nobody answered for all of them.
    """
    try:
        audited: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        audited = []
    bad = [(each, fault) for each in audited for fault in each.get("vulns", [])]
    known = sum("vulns" in each and "skip_reason" not in each for each in audited)
    lines = [
        f"{each['name']} {each['version']}: {fault['id']}, mended in {fault['fix_versions']}" for each, fault in bad
    ]
    if known < total:
        lines.append(f"NOT KNOWN: no vulnerability service answered for {total - known} of {total} packages")
    elif not bad:
        lines.append(f"none of {total} packages is known to be vulnerable")
    return 1 if bad else 2 if known < total else 0, "\n".join(lines)


def vulnerabilities() -> int:
    """Asks the service; see `judged`."""
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", str(DEVELOPMENT), "--require-hashes", "--disable-pip",
        "--format", "json", "--progress-spinner", "off",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    total = len({each.name for each in pinned(DEVELOPMENT) if _installed(each)})
    code, text = judged(done.stdout, total)
    sys.stdout.write(text + "\n")
    return code


def _installed(each: Pinned) -> bool:
    """Whether this machine is one for which the package is meant; pip-audit leaves the others out."""
    try:
        return importlib.metadata.version(each.name) == each.version
    except importlib.metadata.PackageNotFoundError:
        return False


if __name__ == "__main__":
    if sys.argv[1:] == ["vulnerabilities"]:
        sys.exit(vulnerabilities())
    NOTICE.write_text(notice(), "utf-8")
