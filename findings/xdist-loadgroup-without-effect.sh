#!/usr/bin/env bash
# pytest-xdist 3.8.0 with pytest 9.2.0: tests of one xdist_group run in different workers under --dist loadgroup.
# Expected: one worker for a group. Seen: as many workers as there are, and no warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pytest==9.2.0 pytest-xdist==3.8.0
cat > test_group.py <<'TESTS'
import time

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_worker(number, worker_id):
    time.sleep(0.2)
    with open(f"worker-{worker_id}", "a") as file:
        file.write(f"{number}\n")
TESTS
venv/bin/pytest -q -n 2 --dist loadgroup -p no:cacheprovider test_group.py
workers=$(ls worker-* | wc -l)
echo "workers that ran tests of the one group: $workers"
[ "$workers" -eq 2 ]
