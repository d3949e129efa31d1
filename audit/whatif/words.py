"""The texts of the what-if for people: the rules that were put in, what to know about the cases, and the names of
groups and figures, in Chinese and English.
"""

from audit.whatif.study import NOBODY, SIDES, Dimension, Side, Study
from domain.wire import format_time
from texts.vocabulary import CHINESE
from texts.whatif import HOLDERS, NAMED_WORDS


def label(dimension: Dimension, group: str) -> str:
    """The group's name for people, in Chinese where there is a Chinese name."""
    if dimension == "total":
        return "合计"
    if dimension == "company":
        return "(无合同物业)" if group == NOBODY else group
    return CHINESE.get(group, group)


def english(dimension: Dimension, group: str) -> str:
    """The English name to print beside `label`; empty if it would be the same."""
    if dimension == "company":
        return "no operator under contract" if group == NOBODY else ""
    return "total" if dimension == "total" else group


def named_label(measure: str, name: str) -> tuple[str, str]:
    """The Chinese and the English name of a figure that belongs to one clause, level, code or holder."""
    chinese, english_words = NAMED_WORDS[measure]
    known = measure in ("highest", "held")
    shown = (HOLDERS.get(name) or CHINESE.get(name, name)) if known else name
    return f"{chinese} · {shown}", f"{english_words} {name}" if known else english_words


def rules(study: Study) -> list[str]:
    """The exact policy and calendars under which the issues were folded again."""
    said: list[str] = []
    if (policy := study.policy) is not None:
        said.append(f"{policy.title} {policy.id} version {policy.version} ({policy.digest})")
    if study.calendars is not None:
        years = " ".join(f"{year.year}.{year.version}" for year in study.calendars)
        said.append(f"日历 calendars {years or '(none)'}")
    return said or ["原规则 the same rules"]


def findings(study: Study) -> list[tuple[str, str]]:
    """What readers must know about the issues before the figures: pairs of a Chinese and an English sentence."""
    said = [
        (
            f"共 {study.issues} 件诉求，原先适用：{_listed(study.pinned)}。读取时间 {format_time(study.as_of)}。",
            f"{study.issues} issues, which began under {_listed(study.pinned)}; histories read {format_time(study.as_of)}.",
        ),
        (
            f"对照：原规则、无故障时，{study.agreeing} 件与实际经过完全一致，{study.differing.number} 件不一致（当时系统有延误）。",
            f"Control: under the same rules without outages {study.agreeing} came out as they happened, "
            f"{study.differing.number} did not (something woke late then)"
            + (f": {_first(study.differing.first, study.differing.number)}." if study.differing.number else "."),
        ),
    ]
    if study.left_out:
        said.append((f"未再给出的操作：{_listed(study.left_out)}。", f"Commands left out: {_listed(study.left_out)}."))
    for found, chinese, english_words in (
        (study.newly_refused, "在另一套规则下新被拒绝的操作", "Refused only under the other rules"),
        (study.newly_taken, "原先被拒、在另一套规则下生效的操作", "Refused before, taken under the other rules"),
    ):
        if found:
            listed = ", ".join(f"{name} ({code}) ×{n}" for (name, code), n in sorted(found.items()))
            said.append((f"{chinese}:{listed}。", f"{english_words}: {listed}."))
    if study.failed.number:
        failed = _first(study.failed.first, study.failed.number)
        said.append(
            (f"未能重算 {study.failed.number} 件：{failed}。", f"{study.failed.number} could not be folded: {failed}.")
        )
    return said


def sides_shown(study: Study) -> tuple[Side, ...]:
    """The sides that the charts show; the control is left out if it never differs from what happened."""
    return SIDES if study.differing.number else ("happened", "whatif")


def _listed(counter: "dict[str, int]") -> str:
    return ", ".join(f"{name} ×{number}" for name, number in sorted(counter.items())) or "-"


def _first(named: list[str], number: int) -> str:
    return ", ".join(named) + (f" … (+{number - len(named)})" if number > len(named) else "")
