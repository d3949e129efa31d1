"""The what-if as one self-contained HTML page with charts, tables and assumptions, for the people who decide."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, get_args

from audit.whatif import words
from audit.whatif.charts import Bars, chart
from audit.whatif.report import MEASURES, Measure, StudyFigure, brief, named, shown, signed, totals
from audit.whatif.study import SIDES, Dimension, Study
from domain.wire import format_time
from texts.whatif import ASSUMPTIONS, DIMENSION_WORDS, SIDE_WORDS

MOST_COMPANIES: Final = 12
"""The most companies in a chart; the table below it has all companies."""
_BY_KEY: Final = {each.key: each for each in MEASURES}
_TILES: Final = ("late", "escalated", "late_p90", "open")
_CHARTS: Final[tuple[tuple[Dimension, str, str, str], ...]] = (
    ("level", "late", "各层级超时次数", "Red lights by the level that led"),
    (
        "level",
        "late_p90",
        "各层级超时时长（每十次中九次不超过）",
        "How late, by level: nine of ten are late by no more",
    ),
    ("level", "escalations", "由各层级提级的次数", "Escalations away from each level"),
    ("company", "late", "各物业超时次数", "Red lights by company, while it led"),
    ("category", "late", "各类别超时次数", "Red lights by category"),
)

STYLE: Final = """
:root { --ink: #1d2733; --soft: #5c6b7a; --line: #d9dfe5; --happened: #8fa3b5; --control: #c9d3dc; --whatif: #b4531f; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1040px; padding: 32px 28px 48px; color: var(--ink); background: #fff;
  font: 15px/1.55 "Noto Sans CJK SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
h1 .en { display: block; font-size: 14px; }
h1 { font-size: 26px; line-height: 1.3; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 12px; }
h3 { font-size: 15px; margin: 0 0 10px; }
.en { color: var(--soft); font-weight: 400; font-size: 12.5px; } h2 .en, h3 .en { margin-left: 8px; }
.rules { margin: 0 0 18px; color: var(--soft); overflow-wrap: anywhere; }
.lead .en { display: block; }
.key { display: flex; gap: 22px; margin: 0 0 14px; font-size: 13px; } .key svg { width: 14px; height: 14px; margin-right: 6px; vertical-align: -2px; }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 14px; margin: 20px 0; }
.tile { border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; }
.tile .big { font-size: 25px; font-weight: 600; white-space: nowrap; margin: 4px 0 2px; } .tile .big .was { color: var(--soft); font-weight: 400; }
.tile .big .was, .tile .big .now { font-variant-numeric: tabular-nums; } .tile .now { color: var(--whatif); }
.note { border-left: 3px solid var(--line); padding: 2px 0 2px 14px; margin: 0 0 8px; } .note p { margin: 0 0 6px; overflow-wrap: anywhere; } .note .en { display: block; }
.charts { columns: 2; column-gap: 18px; }
.chart { border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; margin: 0 0 18px; break-inside: avoid; }
.chart svg { width: 100%; height: auto; display: block; }
svg text { font-family: inherit; font-size: 13px; fill: var(--ink); } svg .label, svg .beside { text-anchor: end; }
svg .beside { font-size: 11px; fill: var(--soft); } svg .figure { font-size: 12.5px; } svg .axis { stroke: var(--line); }
.happened { fill: var(--happened); } .control { fill: var(--control); stroke: var(--happened); } .whatif { fill: var(--whatif); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: 6px 10px; text-align: right; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; } thead th { border-bottom: 2px solid var(--soft); font-size: 13.5px; }
th .en, td .en { display: block; } td .en { display: inline; margin-left: 6px; } td.whatif { color: var(--whatif); font-weight: 600; }
footer { margin-top: 32px; color: var(--soft); font-size: 12.5px; }
@media (max-width: 760px) { .tiles { grid-template-columns: 1fr 1fr; } .charts { columns: 1; } .wide { overflow-x: auto; } }
@media print { body { padding: 0; max-width: none; font-size: 12px; } @page { size: A4; margin: 14mm; }
  .tile, .chart, tr, .note { break-inside: avoid; } h2 { break-after: avoid; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def as_html(study: Study) -> str:
    """The whole HTML page of a what-if. All text from files and histories is escaped."""
    title = "假如：真实诉求换一套规则"
    parts = [
        f"<h1>{title}<span class=en>What if: real issues under other rules</span></h1>",
        f"<p class=rules>{escape('; '.join(words.rules(study)))}</p>",
        f"<p class=lead>{_both(*ASSUMPTIONS[0])}</p>",
        _tiles(study) if study.issues else "",
        _notes("读数之前", "Before you read the figures", words.findings(study)),
        *((_charts(study), _total(study), *_groups(study)) if study.issues else ()),
        _notes("前提", "What this assumes", ASSUMPTIONS),
        f"<footer>接诉 Jiesu · jiesu audit whatif · {format_time(study.as_of)}</footer>",
    ]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _both(chinese: str, english: str) -> str:
    beside = f" <span class=en>{escape(english)}</span>" if english else ""
    return f"{escape(chinese)}{beside}"


def _tiles(study: Study) -> str:
    """The tiles at the top of the page, one for each of the main figures."""
    rows = {measure.key: (measure, row) for measure, row in totals(study)}
    return f"<div class=tiles>{''.join(_tile(*rows[key]) for key in _TILES)}</div>"


def _tile(measure: Measure, row: StudyFigure) -> str:
    was, control, now = (escape(shown(value, measure.unit)) for value in row.values)
    beside = "" if control == was else f"{_both('对照', 'control')} {control} · "
    return (
        f"<div class=tile>{_both(measure.chinese, measure.english)}"
        f"<div class=big><span class=was>{was} →</span> <span class=now>{now}</span></div>"
        f"<span class=en>{beside}影响 effect {escape(signed(row.change, measure.unit))}</span></div>"
    )


def _key(study: Study) -> str:
    square = '<svg viewBox="0 0 14 14" aria-hidden="true"><rect class="{side}" width="14" height="14"/></svg>'
    sides = (square.format(side=side) + _both(*SIDE_WORDS[side]) for side in words.sides_shown(study))
    return f"<div class=key>{''.join(f'<span>{side}</span>' for side in sides)}</div>"


def _notes(chinese: str, english: str, said: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f"<p>{_both(*pair)}</p>" for pair in said)
    return f"<h2>{_both(chinese, english)}</h2><div class=note>{lines}</div>"


def _charts(study: Study) -> str:
    drawn = (_chart(study, *each) for each in _CHARTS)
    return f"<h2>{_both('图', 'Charts')}</h2>{_key(study)}<div class=charts>{''.join(drawn)}</div>"


def _chart(study: Study, dimension: Dimension, key: str, chinese: str, english: str) -> str:
    measure, sides = _BY_KEY[key], words.sides_shown(study)
    groups = [
        Bars(
            words.label(dimension, name), words.english(dimension, name), tuple(measure.of(of[side]) for side in sides)
        )
        for name, of in study.groups(dimension)
    ]
    left = ""
    if dimension != "level":  # the longest first, as far as they fit
        groups.sort(key=lambda group: -max(value or 0 for value in group.values))
        groups, more = groups[:MOST_COMPANIES], len(groups) - MOST_COMPANIES
        left = f"<p class=en>另有 {more} 个见下表 · {more} more in the table below</p>" if more > 0 else ""
    svg = chart(f"{chinese} {english}", groups, sides, lambda value: shown(value, measure.unit))
    return f"<div class=chart><h3>{_both(chinese, english)}</h3>{svg}{left}</div>"


def _total(study: Study) -> str:
    head = ["", *(_both(*SIDE_WORDS[side]) for side in SIDES), _both("影响", "effect")]
    body = [
        [_both(measure.chinese, measure.english), *_figures(row, measure), escape(signed(row.change, measure.unit))]
        for measure, row in totals(study)
    ]
    named_ones = [
        [
            _both(*words.named_label(row.measure, row.name)),
            *(escape(shown(value, row.unit)) for value in row.values),
            escape(signed(row.change, row.unit)),
        ]
        for row in named("total", "", study.total)
    ]
    detail = f"<h2>{_both('明细', 'In detail')}</h2>{_table(head, named_ones)}"
    return f"<h2>{_both('合计', 'Total')}</h2>{_table(head, body)}{detail}"


def _figures(row: StudyFigure, measure: Measure) -> list[str]:
    return [escape(shown(value, measure.unit)) for value in row.values]


def _groups(study: Study) -> Iterable[str]:
    for dimension in get_args(Dimension)[1:]:
        head, *body = brief(study, dimension)
        rows = [list(map(escape, line)) for line in body]
        title = f"<h2>{_both('各' + DIMENSION_WORDS[dimension][0], 'by ' + DIMENSION_WORDS[dimension][1])}"
        yield f"{title}<span class=en>实际 happened → 假如 what-if</span></h2>{_table(list(map(escape, head)), rows)}"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table of the given cells, whose text must be escaped already."""
    top = "".join(f"<th scope=col>{cell}</th>" for cell in head)
    rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in body)
    return f"<div class=wide><table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>"
