#!/usr/bin/env bash
# openpyxl 3.1.5: a date in one of the built-in formats of Chinese, Japanese and Korean spreadsheets is read as a number.
# Expected: formats 27 to 36 and 50 to 58, which the standard reserves there for dates and which need no code in the file, make a
# date as 14 does. Seen: openpyxl answers 46357 with is_date False, python-calamine 0.9.1 answers 2026-12-01 for the same cell.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check openpyxl==3.1.5 python-calamine==0.9.1 XlsxWriter==3.3.1
cat > read.py <<'PROGRAM'
import io

import openpyxl
import xlsxwriter
from python_calamine import CalamineWorkbook

FORMATS = [14, *range(27, 37), *range(50, 59)]

data = io.BytesIO()
book = xlsxwriter.Workbook(data)
sheet = book.add_worksheet()
for row, number in enumerate(FORMATS):
    sheet.write_number(row, 0, 46357, book.add_format({"num_format": number}))
book.close()
one = [row[0] for row in openpyxl.load_workbook(data).active.iter_rows()]
other = [row[0] for row in CalamineWorkbook.from_filelike(io.BytesIO(data.getvalue())).get_sheet_by_index(0).to_python()]
for number, cell, value in zip(FORMATS, one, other):
    print(f"{number}: openpyxl {cell.value!r}, is_date {cell.is_date}; calamine {value!r}")
assert all(str(value) == "2026-12-01" for value in other), other
assert one[0].is_date
assert all(cell.value == 46357 and not cell.is_date for cell in one[1:])
PROGRAM
venv/bin/python read.py
