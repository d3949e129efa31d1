"""The line of each key in any valid TOML."""

import tomllib
from typing import Any

import pytest

from policies.lines import Lines
from policies.loader import SHIPPED

TRICKY = '''\
# comment with = and [header]
a = 1
"quoted key" = "# no comment"
list = [
  "x]", # ]
  """y
]""",
]
text = """
b = 2
\\""" [c]
"""
raw = \'\'\'
[[clause]]
\'\'\'
d.e = { f = "}", g = [1, 2] }

[ table ]
h = 1
"i.j" = 2
[table.deep]
k = ""
[[clause]]
id = "first"   # [[clause]]
[clause.sub]
l = 1
[[clause]]

id = "second"
[[clause.part]]
m = 1
[[clause.part]]
m = 2
last = "end"'''


def test_keys_are_found_where_they_stand() -> None:
    tomllib.loads(TRICKY)
    lines, rows = Lines(TRICKY), TRICKY.splitlines()

    def row(*path: str | int) -> str:
        return rows[lines.of(path) - 1]

    assert row("a") == "a = 1"
    assert row("quoted key").startswith('"quoted key"')
    assert row("list", 1) == "list = ["
    assert row("text") == 'text = """'
    assert row("raw") == "raw = '''"
    assert row("d", "e", "f") == row("d") == 'd.e = { f = "}", g = [1, 2] }'
    assert row("table") == "[ table ]"
    assert row("table", "i.j") == '"i.j" = 2'
    assert row("table", "deep", "k") == 'k = ""'
    assert row("clause", 0, "id").startswith('id = "first"')
    assert row("clause", 0, "sub", "l") == "l = 1"
    assert lines.of(("clause", 1)) == lines.of(("clause", 1, "id")) - 2
    assert row("clause", 1, "part", 0, "m") == "m = 1"
    assert row("clause", 1, "part", 1, "last") == 'last = "end"'


def test_what_has_no_line_is_found_at_the_nearest_table() -> None:
    lines = Lines("a = 1\n[b]\nc = 2\n")
    assert lines.of(("b", "missing")) == 2
    assert lines.of(("missing",)) == 1
    assert Lines("").of(("missing",)) == 1


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("name", sorted(path.name for path in SHIPPED.glob("*.toml")))
def test_every_key_of_the_shipped_packs(name: str, ending: str) -> None:
    text = (SHIPPED / name).read_text(encoding="utf-8").replace("\n", ending)
    lines, rows = Lines(text), text.splitlines()

    def check(plain: dict[str, Any], *path: str | int) -> None:
        for key, value in plain.items():
            if isinstance(value, list) and key == "clause":
                for index, table in enumerate(value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
                    assert rows[lines.of((key, index)) - 1] == "[[clause]]"
                    check(table, key, index)  # pyright: ignore[reportUnknownArgumentType]
            else:
                assert rows[lines.of((*path, key)) - 1].startswith(f"{key} = ")

    check(tomllib.loads(text))
