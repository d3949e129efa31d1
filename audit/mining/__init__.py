"""Issues as event logs for process mining, in the formats OCEL 2.0 and XES.

The logs are written as streams and without a mining library: writing needs none, and the usual library is under the
AGPL. Both formats hold the same attributes of an event, those of `audit.mining.attributes`. They hold no free text and
no other field that is marked PERSONAL; people are pseudonyms.
"""
