#!/usr/bin/env bash
# playwright 1.65.2 for Python: page.on("request", seen.append) raises AttributeError, since a listener is given an attribute,
# which a method of a built-in type cannot hold. Expected: any callable of one argument listens. Seen: a lambda around it does.
# Needs chromium, as Debian installs it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check playwright==1.65.2
cat > listen.py <<'PROGRAM'
import shutil

from playwright.sync_api import sync_playwright

with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    page, seen = browser.new_page(), []
    try:
        page.on("request", seen.append)
    except AttributeError as error:
        print("seen.append:", error)
    else:
        raise SystemExit("a method of a list can listen now")
    page.on("request", lambda request: seen.append(request))
    page.goto("about:blank")
    page.set_content("<p>one</p>")
    print("a lambda around it: listens")
    browser.close()
PROGRAM
venv/bin/python listen.py
