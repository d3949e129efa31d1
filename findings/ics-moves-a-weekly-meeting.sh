#!/usr/bin/env bash
# ics 0.7.3: a weekly meeting that is read and written again is on another weekday. Every start is written in UTC, and the rule
# is kept as it was: Tuesday 07:00 in Asia/Shanghai is Monday 23:00 in UTC, and BYDAY=TU there is Wednesday in Shanghai.
# Expected: the zone stays, or the rule moves with the start. Seen: neither, and no warning. A calendar without CALSCALE also
# gets a CALSCALE:GEORGIAN, which recurring-ical-events 3.8.2 refuses, since the name of the scale is GREGORIAN.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check ics==0.7.3 icalendar==7.3.0 recurring-ical-events==3.8.2 tzdata==2026.6
cat > again.py <<'PROGRAM'
from zoneinfo import ZoneInfo

import ics
import recurring_ical_events
from icalendar import Calendar
from recurring_ical_events.errors import InvalidCalendar

LINES = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:example
BEGIN:VEVENT
UID:1
DTSTAMP:20261101T000000Z
DTSTART;TZID=Asia/Shanghai:20261201T070000
DURATION:PT1H
RRULE:FREQ=WEEKLY;BYDAY=TU;UNTIL=20261231T000000Z
SUMMARY:rounds
END:VEVENT
END:VCALENDAR
"""


def days(text):
    events = recurring_ical_events.of(Calendar.from_ical(text)).between((2026, 11, 1), (2027, 2, 1))
    starts = sorted(event["DTSTART"].dt.astimezone(ZoneInfo("Asia/Shanghai")) for event in events)
    return [f"{start:%a %m-%d %H:%M}" for start in starts]


before = LINES.replace("\n", "\r\n")
after = ics.Calendar(before).serialize()
print([line for line in after.splitlines() if line.startswith(("CALSCALE", "DTSTART", "RRULE"))])
try:
    days(after)
except InvalidCalendar as error:
    print("after:", error)
else:
    raise SystemExit("the scale is known now")
after = after.replace("CALSCALE:GEORGIAN", "CALSCALE:GREGORIAN")
print("before", days(before))
print("after ", days(after))
assert {day[:3] for day in days(before)} == {"Tue"}
assert {day[:3] for day in days(after)[1:]} == {"Wed"}
PROGRAM
venv/bin/python again.py
