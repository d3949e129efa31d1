#!/usr/bin/env bash
# vobject 0.9.9: two time zones with one abbreviation become one. A calendar with a meeting at 09:00 in Asia/Shanghai and one
# at 09:00 in America/Chicago, both of zoneinfo, has the single time zone CST, UTC+8, and both meetings in it.
# Expected: the TZID is the key of the zone. Seen: it is the abbreviation, the first zone of that name stands for every later
# one, no warning, and any reader puts the meeting of Chicago at 01:00 UTC, not at 15:00.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check vobject==0.9.9 icalendar==7.3.0 tzdata==2026.6
cat > write.py <<'PROGRAM'
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import icalendar
import vobject

calendar, wanted = vobject.iCalendar(), {}
for place in ("Asia/Shanghai", "America/Chicago"):
    event = calendar.add("vevent")
    event.add("uid").value = place
    event.add("dtstart").value = datetime(2026, 12, 1, 9, tzinfo=ZoneInfo(place))
    wanted[place] = event.dtstart.value.astimezone(timezone.utc).hour
text = calendar.serialize()
print("\n".join(line for line in text.splitlines() if line.startswith(("TZID", "TZOFFSETTO", "DTSTART;"))))
events = icalendar.Calendar.from_ical(text).walk("VEVENT")
read = {str(event["UID"]): event["DTSTART"].dt.astimezone(timezone.utc).hour for event in events}
print("hours of UTC written", wanted, "and read", read)
assert wanted == {"Asia/Shanghai": 1, "America/Chicago": 15}
assert read == {"Asia/Shanghai": 1, "America/Chicago": 1}
PROGRAM
venv/bin/python write.py
