#!/usr/bin/env bash
# xlsxwriter 3.3.1: write_string cuts a text that is too long for a cell, and says so by a return value only.
# Expected: an exception or a warning, and Python's length as the measure. Seen: no exception, no warning, the answer -2, and
# the file holds the first 32,767 UTF-16 units: 20,000 signs outside the basic plane, which Python counts as 20,000 and so as
# well below the limit, are cut to 16,383. A row behind the last one of a sheet is answered with -1, and is not there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check XlsxWriter==3.3.1
cat > cut.py <<'PROGRAM'
import io
import re
import warnings
import zipfile

import xlsxwriter

data = io.BytesIO()
book = xlsxwriter.Workbook(data, {"constant_memory": True})
sheet = book.add_worksheet()
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    answers = [sheet.write_string(0, 0, "\U00020bb7" * 20_000), sheet.write_string(1_048_576, 0, "x")]
book.close()
xml = zipfile.ZipFile(data).read("xl/worksheets/sheet1.xml").decode()
(kept,) = re.findall(r"<t[^>]*>(.*?)</t>", xml)
print(answers, len(seen), len(kept))
PROGRAM
seen=$(venv/bin/python cut.py)
echo "answers, warnings, signs kept: $seen"
[ "$seen" = "[-2, -1] 0 16383" ]
