"""Issues as event logs for process mining: OCEL 2.0 and XES, written by hand and as a stream.

No mining library is needed to write them, and the usual one is AGPL. Both formats tell the same: what
`audit.mining.attributes` makes of an event. They hold no free text and nothing else that is marked PERSONAL; people
are pseudonyms.
"""
