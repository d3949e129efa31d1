"""`make drills`: breaks homes of `jiesu up`, looks as users and operators do, mends them, and writes what it saw."""
