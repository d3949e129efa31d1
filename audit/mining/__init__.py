"""Issues as event logs for process mining: OCEL 2.0 and XES, written as streams without a mining library.

None is needed for writing, and the usual one is AGPL. Both formats hold the same attributes of an event, those of
`audit.mining.attributes`. They hold no free text and no other field that is marked PERSONAL; people are pseudonyms.
"""
