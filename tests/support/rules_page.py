"""Writes docs/rules.md, every figure of which comes from an issue played on the domain.

``PYTHONPATH=tests python -m support.rules_page`` writes the page.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from support.rules_alone import MONDAY, tables, when
from support.rules_of_handlers import HANDLER
from support.rules_of_others import ADMINS, OPERATOR, RESIDENT, RULER, STREETS
from support.rules_play import BEFORE, SCENES

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "rules.md"

HEAD: Final = """\
# The rules of the clock

For managers of companies, officers of communities and streets, and residents' lawyers: when an issue moves up if nobody acts,
what each party can do to a clock or to be rid of the *lead* (who answers for the issue now), and what no rule can see. The
*handler* does the work, and stays when the lead climbs. Every figure on this page was computed by the rules themselves:
`PYTHONPATH=tests python -m support.rules_page` writes the page, and a test holds it to the rules.

**Nothing is forgotten.** Whatever was done to an open issue: if nobody acts any more, it closes by the resident's silence after
a completion, or its lead reaches the top of the ladder, where reminders never end. `jiesu policy check` proves that for a pack
and prints by when.
"""

ALONE: Final = """\
## A. Nobody acts

An issue is reported on {monday}, in a week without holidays. Each row names the last thing that anybody does: accept
at 10:01, arrival and assessment at 10:02 (`demo`: a second each). *Red first* is the first limit that passes, with its clause.
The handler is the company; under `dispute` it is the community. Where a pack names no clause for urgent issues, its limits are
the same, but hours of service become hours, and climbs do not wait for the opening.
"""

PARTIES: Final = """\
## B. What each party can do

Unless a row says otherwise: a noise under `12345`, reported on {monday}, accepted at 10:01, the resident called at 10:02. If
nobody acts from there on, the lead climbs: {before}. The traces are the kinds of
events in the timeline of the issue, each with person, role, organisation and time, signed and sealed.
"""

UNSEEN: Final = """\
## C. What no rule can see

The rules read what people say and when they say it, not whether it is so. These ways stay open; each leaves a trace that a
supervisor, a lawyer or the auditor finds.

| what is said falsely | what it buys | the trace that it leaves |
|---|---|---|
| an arrival that did not happen | the arrive clause is met, and a completion as solved may follow | `arrived` with person and minute, which the resident is told at once; no appointment, no contact, the next event soon after; the resident's `objected`, `reopened` |
| "solved" again after a reopening, without coming again | a completion: one arrival of the handler counts for all its work on the issue | no `arrived` between `reopened` and `completed`; the third reopening climbs |
| steps of a plan "done" | each lets the next date count (row "a near plan") | `step_done` with person and time, then no completion; a plan may last no longer than the pack says without a grant |
| work "made safe" | meets `handle`; a plan may stand in an urgent issue | `mitigated` with person and time, which a second report or the resident contradicts |
| a picture of another place, or staged | a completion as solved | the digest of the picture, who uploaded it and when; the same digest in two issues; the resident's rating |
| "explained", "referred", "settled" without arrival | the clocks end while the resident looks; if he says nothing, it closes | `completed` with its kind and answer, `closed` as not rated; the share of such completions by handler in the exports |
| a call that was not made, "nobody at home" | a contact clause is met; no climb moves | `contacted`, `attempted` with person and time, beside the telephone's own record |
| a size that is not so | the pack's limits for that size, until a level above sets it back | `assessed` with reason; a later `assessed` by the level above |
| more steps forward than there were, by each level in turn | the progress clock counts anew, once for each kind of step and scope | the steps with person and time, one limit apart |
| a community that grants whatever it is asked, or rules late on purpose | what was asked, pauses of up to 92 natural days one after the other; or the climb stays on nobody's account | `requested` and `granted`, `extended` with both persons, told to the resident each time; `overdue` of `rule-...`, the minutes of the community, `wish_open` on the climb |
| a wish a minute before each climb | the climb is on nobody's account until somebody denies it, or the handler completes while it could still be ruled on in time; the lead climbs all the same | `requested` just before `escalated`, `wish_open` |
| `reject` of a true report to which the resident does not object | the issue is closed | `rejected` with its reason; the reporter and the level above are told |
| `merge` of two matters that are not the same | the younger issue waits, and closes by silence | `merged` with the other issue's id; its reporter is told, follows the other one, and may object |
| a street that gives the work to another handler every few days | where the street's clauses count from the lead, none turns red; it cannot climb, since the street is the top | `redispatched` each time with its reason, told to the new handler and the resident; the number of transfers |
| a street that shelves, and reviews nothing, or shelves it again before each review | nothing but time; left alone it is reminded every month for ever | `shelved` with reason, `reminded`, the street's minutes |
| an administrator who pins a slack pack, or publishes working days that are not so | other limits from then on | `policy_changed` with the whole pack, `calendar_published` with every day; anybody can compare them with the notice |
| somebody who holds the tracking code and is not the resident confirms or withdraws | the issue is closed | `confirmed`, `withdrawn` by a code; `code_renewed` when the resident finds out |
| staff who act for two parties under two names | the rule that nobody judges his own work | the appointments of both names in the directory |
"""


def page() -> str:
    return "\n".join([*_lines()])


def _lines() -> Iterator[str]:
    yield HEAD
    yield ALONE.format(monday=when(MONDAY))
    yield from tables()
    yield PARTIES.format(monday=when(MONDAY), before=BEFORE)
    for party in (HANDLER, RULER, STREETS, ADMINS, RESIDENT, OPERATOR):
        yield f"### {party}\n"
        yield "| act | what it does, and up to how much | on whose account | who is told, who rules | trace |"
        yield "|---|---|---|---|---|"
        for row in (play() for play in SCENES[party]):
            yield f"| {row.act} | {row.does} | {row.account} | {row.told} | {row.trace} |"
        yield ""
    yield UNSEEN.rstrip("\n")
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
