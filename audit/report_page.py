"""The report of a verification as an HTML page that people can read, print and sign: one file without scripts."""

from collections import Counter
from html import escape
from typing import Final

from audit.case import STEPS, Finding, Step
from audit.verify_all import AuditReport, unlooked_at
from domain.wire import format_time
from texts import verification

_MOST: Final = 500
"""The most findings on the page; the JSON report has all of them."""
_STYLE: Final = """
body { font: 15px/1.6 "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; max-width: 52em; margin: 2em auto; padding: 0 1em;
  color: #1c2733 }
h1 { font-size: 1.5em; margin-bottom: 0 } .en { color: #5c6b7a; font-size: .88em }
.verdict { border-left: .5em solid; padding: .6em 1em; margin: 1.2em 0; font-size: 1.15em; background: #f6f8fa }
.good { border-color: #1a7f4b } .bad { border-color: #b3261e }
table { border-collapse: collapse; width: 100%; margin: 1em 0 } td, th { border-bottom: 1px solid #d5dce3;
  padding: .45em .6em; text-align: left; vertical-align: top; overflow-wrap: anywhere } th { font-weight: 600 }
td.n { text-align: right; font-variant-numeric: tabular-nums } .ok { color: #1a7f4b } .no { color: #b3261e; font-weight: 600 } .ok, .no { white-space: nowrap }
.sign { margin-top: 3em; display: flex; gap: 3em } .sign div { flex: 1; border-top: 1px solid #1c2733; padding-top: .3em }
@media print { body { margin: 0; max-width: none } .verdict { background: none } }
"""


def page(report: AuditReport) -> str:
    """The report as HTML, in Chinese with English beside it."""
    kind, zh, en = (
        (
            "good",
            f"{_except(report)}全部相符",
            f"{unlooked_at(report)}; the rest holds" if unlooked_at(report) else "Everything holds",
        )
        if report.holds
        else ("bad", f"有 {len(report.findings)} 处不符", f"{len(report.findings)} findings: not everything holds")
    )
    return (
        '<!doctype html>\n<html lang="zh-CN"><head><meta charset="utf-8">'
        f"<title>接诉 审计核验报告 {escape(format_time(report.at))}</title><style>{_STYLE}</style></head><body>"
        "<h1>审计核验报告</h1><div class=en>Audit report</div>"
        f'<p class="verdict {kind}">{zh}<br><span class=en>{en}</span></p>'
        f"{_looked_at(report)}{_steps(report)}{_findings(report)}{_pinned(report)}"
        "<div class=sign><div>核验人 <span class=en>Verified by</span></div>"
        "<div>日期 <span class=en>Date</span></div></div></body></html>\n"
    )


def _except(report: AuditReport) -> str:
    parts = (report.unopened, "文字未解开"), (report.unseen, "图片未核对")
    left = "、".join(said for count, said in parts if count)
    return f"{left}，其余" if left else ""


def _looked_at(report: AuditReport) -> str:
    rows = (
        ("核验范围", "What was asked", escape(report.asked)),
        ("核验时间", "When", escape(format_time(report.at))),
        ("诉求", "Issues", f"{report.issues:,}"),
        ("未核验：其他已结 / 未结", "Not looked at: other closed / open", _left(report)),
        ("与历史比对的未结", "Open, compared with their histories", f"{report.compared:,}"),
        ("其中已核验、内容已删除", "Of these verified, content erased", f"{report.erased:,}"),
        ("解开的文字 / 未解开", "Texts opened / not opened", f"{report.opened:,} / {report.unopened:,}"),
        ("核对的图片 / 未核对", "Pictures compared / not compared", f"{report.pictures:,} / {report.unseen:,}"),
        ("重演的动作", "Commands replayed", f"{report.commands:,}"),
        ("重算的事件", "Events folded again", f"{report.events:,}"),
        ("日志条目 / 公布的树头", "Leaves / published heads", f"{report.leaves:,} / {report.heads:,}"),
    )
    return (
        f"<table>{''.join(f'<tr><th>{zh}<br><span class=en>{en}</span><td class=n>{n}' for zh, en, n in rows)}</table>"
    )


def _left(report: AuditReport) -> str:
    others = max(0, report.leaves - report.issues)
    return f"{others:,} / {'?' if report.open is None else format(max(0, report.open - report.compared), ',')}"


def _steps(report: AuditReport) -> str:
    count = Counter(finding.step for finding in report.findings)
    rows: list[str] = []
    for step in STEPS:
        zh, en, what = verification.STEPS[step]
        said = (
            f"<span class=no>{count[step]} 处不符</span>"
            if count[step]
            else f"<span class=ok>{_passed(report, step)}</span>"
        )
        rows.append(f"<tr><th>{zh}<br><span class=en>{en}</span><td>{what}<td>{said}")
    return f"<h2>逐项结论 <span class=en>Step by step</span></h2><table>{''.join(rows)}</table>"


def _passed(report: AuditReport, step: Step) -> str:
    """The words for a step without findings: that everything agrees, or that the step was not verified."""
    whole = report.runs > 0
    taken = {
        "commands": report.commands > 0, "rows": report.rows and whole, "seal": report.issues > 0,
        "head": report.heads > 0, "texts": whole and not report.unopened, "pictures": whole and not report.unseen,
    }  # fmt: skip
    return "相符 ✓" if taken.get(step, whole) else "未核验 not looked at"


def _findings(report: AuditReport) -> str:
    if report.holds:
        return ""
    rows = "".join(map(_finding, report.findings[:_MOST]))
    more = len(report.findings) - _MOST
    rest = (
        f"<p>另有 {more} 处，见 JSON 报告。 <span class=en>{more} more are in the JSON report.</span></p>"
        if more > 0
        else ""
    )
    head = "<tr><th>诉求 <span class=en>Issue</span><th>步骤 <span class=en>Step</span><th>位置 <span class=en>Where</span><th>不符之处 <span class=en>What</span>"
    return f"<h2>不符之处 <span class=en>Findings</span></h2><table>{head}{rows}</table>{rest}"


def _finding(finding: Finding) -> str:
    return (
        f"<tr><td>{escape(finding.issue or '日志 log')}<td>{verification.STEPS[finding.step][0]}<br><span class=en>{finding.step}</span>"
        f"<td>{escape(finding.where)}<td>{escape(finding.what)}"
    )


def _pinned(report: AuditReport) -> str:
    if report.pinned or not report.heads:
        return ""
    return (
        "<p>注意：公钥取自树头旁边的文件。能改树头的人也能改它，请用从别处得到的公钥再核验一次（--key）。<br>"
        "<span class=en>The key was taken from beside the heads. Whoever can change those can change it: verify again with a "
        "key that you have from elsewhere (--key).</span></p>"
    )
