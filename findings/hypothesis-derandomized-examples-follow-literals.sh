#!/usr/bin/env bash
# hypothesis 6.170.15: with derandomize=True the examples depend on the literals in the modules under test.
# Expected: a derandomized test draws the same examples as long as the test itself is the same. Seen: a number or a string
# that changes, or is added, in any imported module of the project gives other examples, though the test never uses it; a
# comment does not. So an unrelated commit can turn such a test red, or hide what it found the day before.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check hypothesis==6.170.15
cat > test_draw.py <<'PROGRAM'
import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

import limits

drawn = []


@settings(derandomize=True, database=None, max_examples=200)
@given(st.integers(), st.text())
def test(number, text):
    limits.is_late(number)
    drawn.append((number, text))


test()
print(hashlib.sha256(repr(drawn).encode("utf-8", "surrogatepass")).hexdigest()[:16])
PROGRAM
draw() {
  printf '%s\n' 'def is_late(days):' "    return days > 5$1" "$2" > limits.py
  venv/bin/python test_draw.py
}
first=$(draw "" "")
again=$(draw "" "")
comment=$(draw "  # days" "")
unused=$(draw "" 'LABEL = "an overdue notice"')
echo "first $first, again $again, with a comment $comment, with a literal that nobody uses $unused"
[ "$first" = "$again" ] && [ "$first" = "$comment" ] && [ "$first" != "$unused" ]
