"""What clauses are called in both languages: a pack gives them an id, and their words say the rest."""

from collections.abc import Sequence

from domain.clocks import REMIND, RULE_CLOCKS
from domain.policy import Policy
from domain.vocabulary import Milestone, Scope
from texts.catalogue import Language, named, say


def title(level: Scope, milestone: Milestone, when: Sequence[str], language: Language) -> str:
    """The name of a clause, of its level, milestone and conditions, such as ``community: accept (urgent)``."""
    key = "of-issue" if level == "issue" else "title"
    whole = say("clauses", key, language, {"level": level, "milestone": milestone})
    if not when:
        return whole
    conditions = say("clauses", "between", language).join(named(word, language) for word in when)
    return say("clauses", "only", language, {"title": whole, "when": conditions})


def title_of(clause: str, policy: Policy, language: Language) -> str:
    """The name of what an event bears as its clause: one of the policy, a clock of the rules, or why the lead moved up."""
    for each in policy.clause:
        if each.id == clause:
            return title(each.level, each.milestone, each.when, language)
    return say("clauses", clause, language) if clause in (*RULE_CLOCKS, REMIND) else named(clause, language)
