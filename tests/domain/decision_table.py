"""The outcome of every command in every status, and who may give it: written by hand from the design, as data.

The stage is a leak at a company's compound under pack 52022, led by the property company; nobody has declined or
asked for anything. Every cell is one (status x command) pair; the tests fail if a pair is missing.
"""

from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import domain.commands as c
from domain.commands import Actor, Body
from domain.directory import (
    Appointment,
    Community,
    Compound,
    Contract,
    Department,
    Directory,
    Operator,
    Period,
    Street,
)
from domain.vocabulary import STATUSES, HandlerKind, Role, Status
from tests.domain.play import (
    ADMIN,
    COMMUNITY,
    COMPANY,
    DONE,
    NEIGHBOUR,
    REPORTER,
    SETTLED_2027,
    STREET,
    local,
    pack,
    place,
)

COLUMNS: Final[tuple[Status, ...]] = STATUSES
"""dispatched accepted arrived planned answered completed suspended waiting closed"""
SIGNS: Final = {
    "N": {
        "accept-first", "accepted-already", "arrive-first", "lead-taken", "no-limit-of-yours", "assess-instead", "completed-first", "nothing-to-object", "no-decline", "no-plan",
        "not-asked", "not-begun", "not-merged", "reopen-instead", "resume-first", "wrong-status",
    },
    "C": {"closed"},
    "Y": {"not-yours"},
}  # fmt: skip
"""Refusal codes: not now, closed, not yours. The other signs are digits: which of the row's outcomes, counted from 1."""
PLAN: Final = c.Plan(
    (c.Step("关阀", local("2026-11-22 18:00"), "company-a"), c.Step("换管", local("2026-11-28 18:00")))
)
"""Needs no grant: it begins within the 2 days for a plan, and no step is more than a week after the one before."""
REVIEW: Final = local("2026-11-22 10:00")
"""Takes one day off limits in days, which is within the 2 days of own pauses, but far more than all of the 5 minutes in
which the company must arrive."""


@dataclass(frozen=True)
class Row:
    """One command as its most natural rightful giver gives it: a sign per status, in the order of `COLUMNS`."""

    actor: Actor
    body: Body
    signs: str
    outcomes: tuple[str, ...] = ()

    def cell(self, status: Status) -> str:
        """Event kinds in order, or the sign of the refusal."""
        sign = self.signs.split()[COLUMNS.index(status)]
        return sign if sign in SIGNS else self.outcomes[int(sign) - 1]


TABLE: Final[dict[str, Row]] = {
    # ------------------------------------------------------------ dis acc arr pla ans com sus wai clo
    # the resident
    "comment": Row(REPORTER, c.Comment("还在漏"),                    "1 1 1 1 1 1 1 1 C", ("commented",)),
    "supply": Row(REPORTER, c.Supply("三楼"),                        "N N N N N N 1 N C", ("supplied",)),
    "attach": Row(REPORTER, c.Attach("0" * 64),                      "1 1 1 1 1 1 1 1 C", ("attached",)),
    "urge": Row(REPORTER, c.Urge(),                                  "1 1 1 1 1 N 1 1 C", ("urged",)),
    # to a question, a plan or an answer; nobody has said anything before, and completed work is reopened
    "object": Row(REPORTER, c.Object("已经说过了"),                  "N N N 1 1 N 1 N C", ("objected",)),
    "withdraw": Row(REPORTER, c.Withdraw(),                          "1 1 1 1 1 1 1 1 C", ("withdrawn closed",)),
    "confirm": Row(REPORTER, c.Confirm("solved", "satisfied"),       "N N N N N 1 N N C", ("confirmed closed",)),
    "reopen": Row(REPORTER, c.Reopen("又漏了"),                      "N N N N N 1 N N C", ("reopened",)),
    "follow": Row(NEIGHBOUR, c.Follow(),                             "1 1 1 1 1 1 1 1 C", ("followed",)),
    # nobody has joined it, see test_rules_of_followers
    "unfollow": Row(NEIGHBOUR, c.Unfollow(),                         "Y Y Y Y Y Y Y Y C"),
    "renew_code": Row(REPORTER, c.RenewCode(),                       "1 1 1 1 1 1 1 1 C", ("code_renewed",)),
    # whoever does the work: in its order, though a step may be left out where the policy knows no clause for it
    "accept": Row(COMPANY, c.Accept(),                               "1 N N N N N N N C", ("accepted",)),
    "decline": Row(COMPANY, c.Decline("not_our_duty"),               "1 1 1 N N N N N C", ("declined",)),
    "assign": Row(COMPANY, c.Assign("张工"),                         "1 1 1 1 1 N 1 1 C", ("assigned",)),
    "schedule": Row(COMPANY, c.Schedule(REVIEW),                     "N 1 1 1 1 N 1 1 C", ("scheduled",)),
    "attempt": Row(COMPANY, c.Attempt(),                             "N 1 1 1 1 N 1 1 C", ("attempted",)),
    "contact": Row(COMPANY, c.Contact(),                             "N 1 1 1 1 N 1 1 C", ("contacted",)),
    "arrive": Row(COMPANY, c.Arrive("complex"),                      "N 1 N 2 2 N N N C", ("arrived assessed", "arrived")),
    "assess": Row(COMPANY, c.Assess("minor", "只是接头松了"),        "N 1 1 1 1 N 1 1 C", ("assessed",)),
    "mitigate": Row(COMPANY, c.Mitigate(),                           "N 1 1 1 1 N 1 1 C", ("mitigated",)),
    "plan": Row(COMPANY, PLAN,                                       "N 1 1 1 1 N N N C", ("planned",)),
    "step_done": Row(COMPANY, c.StepDone(1),                         "N N N 1 1 N N N C", ("step_done",)),
    # an answer may still be owed when the work is done; without a plan it is an interim one, see ANSWERS
    "answer": Row(COMPANY, c.Answer("已换管"),                       "N 1 1 1 1 1 1 1 C", ("answered",)),
    "ask": Row(COMPANY, c.Ask("几楼?"),                             "N 1 1 1 1 N N N C", ("suspended",)),
    # once accepted the arrival is waited for, and of its 5 minutes nobody takes off two days by himself
    "wait": Row(COMPANY, c.Wait("parts", REVIEW),                    "N 2 1 1 1 N N 1 C", ("waited", "requested")),
    "resume": Row(COMPANY, c.Resume(),                               "N N N N N N 1 1 C", ("resumed",)),
    # more time needs a limit that runs: once it is answered only the plan's own dates are left
    "extend": Row(COMPANY, c.Extend("要等材料"),                     "1 1 1 1 N N N N C", ("requested",)),
    # as solved only by somebody who has been there
    "complete": Row(COMPANY, DONE,                                   "N N 1 1 1 N 1 1 C", ("completed",)),
    "refer": Row(COMPANY, c.Refer("119"),                            "1 1 1 1 1 1 1 1 C", ("referred",)),
    # from above
    "escalate": Row(COMMUNITY, c.Escalate("物业推诿"),               "1 1 1 1 1 N 1 1 C", ("escalated",)),
    "sit": Row(COMMUNITY, c.Sit(),                                   "1 1 1 1 1 N 1 1 C", ("sat",)),
    "redispatch": Row(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"),
                                                                     "1 1 1 1 1 N 1 1 C", ("redispatched",)),
    # nothing to do again before the work has begun
    "return": Row(COMMUNITY, c.Return("没修好"),                     "N 1 1 1 1 1 1 1 C", ("returned",)),
    "supervise": Row(COMMUNITY, c.Supervise(),                       "1 1 1 1 1 1 1 1 C", ("supervised",)),
    "instruct": Row(COMMUNITY, c.Instruct("今天办完"),               "1 1 1 1 1 1 1 1 C", ("instructed",)),
    # nobody has asked for more time nor declined, see PENDING
    "grant": Row(COMMUNITY, c.Grant(),                               "N N N N N N N N C"),
    "deny": Row(COMMUNITY, c.Deny(),                                 "N N N N N N N N C"),
    "rule": Row(COMMUNITY, c.Rule(upheld=False),                     "N N N N N N N N C"),
    "adopt": Row(COMMUNITY, c.Adopt("issue-2"),                      "1 1 1 1 1 N 1 1 C", ("adopted",)),
    "merge": Row(COMMUNITY, c.Merge("issue-2"),                      "1 1 1 1 1 N 1 1 C", ("merged",)),
    # nothing has been merged, see test_rules_of_merging
    "split": Row(COMMUNITY, c.Split("不是一件事"),                   "N N N N N N N N C"),
    "reject": Row(COMMUNITY, c.Reject("不在本小区"),                 "1 1 1 1 1 N 1 1 C", ("rejected",)),
    # who shelves it answers for it
    "shelve": Row(STREET, c.Shelve("等专项资金"),                    "1 1 1 1 1 N 1 1 C", ("shelved escalated",)),
    "correct": Row(COMMUNITY, c.Correct("不是漏水", "drain"),        "1 1 1 1 1 1 1 1 C", ("corrected",)),
    "change_policy": Row(ADMIN, c.ChangePolicy("12345", "错绑", pack("12345")),
                                                                     "1 1 1 1 1 1 1 1 C", ("policy_changed",)),
    "calendar_published": Row(ADMIN, c.CalendarPublished(SETTLED_2027),
                                                                     "1 1 1 1 1 1 1 1 C", ("calendar_published",)),
    # another company has the contract
    "directory_changed": Row(ADMIN, c.DirectoryChanged(replace(place(), operator="company-b"), ("north",)),
                                                                     "1 1 1 1 1 1 1 1 C", ("directory_changed",)),
}  # fmt: skip
TAKEN_BACK: Final = Row(COMPANY, c.Reopen("还有一处在漏"),           "N N N N N 1 N N C", ("taken_back",))  # fmt: skip
"""Whoever completed gives the resident's command, and takes the completion back by it."""


@dataclass(frozen=True)
class Pending:
    """A row where something waits for a word from above; the statuses in which it can wait."""

    asked: Body
    command: str
    body: Body
    signs: str
    outcome: str


LONG: Final = c.Plan((c.Step("业主表决", local("2026-12-31 18:00")),))
"""Over 15 days: the community must grant it."""
PAUSE: Final = c.Wait("parts", local("2026-12-10 10:00"))
"""More than the 2 days of own pauses."""
PENDING: Final = (
    # ------------------------------------------------------------------------------- dis acc arr pla ans
    Pending(c.Extend("要等材料"), "grant", c.Grant("extend"),                        "1 1 1 1 .", "extended"),
    Pending(c.Extend("要等材料"), "deny", c.Deny("extend", "材料本地就有"),          "1 1 1 1 .", "denied"),
    Pending(LONG, "grant", c.Grant("plan"),                                          ". 1 1 1 1", "granted"),
    Pending(LONG, "deny", c.Deny("plan", "太久"),                                    ". 1 1 1 1", "denied"),
    Pending(PAUSE, "grant", c.Grant("pause"),                                        ". 1 1 1 1", "granted"),
    Pending(PAUSE, "deny", c.Deny("pause", "材料本地就有"),                          ". 1 1 1 1", "denied"),
    Pending(c.Decline("not_our_duty"), "rule", c.Rule(upheld=False),                 "1 1 1 . .", "ruled"),
    Pending(c.Decline("not_our_duty"), "rule", c.Rule(upheld=True),                  "1 1 1 . .", "ruled escalated"),
)  # fmt: skip
"""Upheld, the community that ruled handles it and answers for it from then on."""
WISHES: Final = {
    "rule-extend": c.Extend("要等材料"),
    "rule-plan": LONG,
    "rule-pause": PAUSE,
    "rule-decline": c.Decline("not_our_duty"),
}
"""The clock of whoever must rule, and what the company wished for."""
AT_THE_TOP: Final = {
    # where the street leads, what the street gives and what the company gives
    "extend": (c.Extend("要协调"), "refused nobody-above", "requested"),
    "wait": (PAUSE, "waited", "requested"),
    "plan": (LONG, "planned", "planned"),
}
"""Nobody is above the street, so it can wish for nothing; it pauses and plans on its own account."""
NEEDLESS: Final = {"reporter": True, "company": False, "community": True, "street": True}
"""Who ends a question to the resident, and whether it was needless then and stopped no clock."""
ANSWERS: Final = {
    "accepted": True, "arrived": True, "planned": False, "answered": False, "completed": False, "suspended": True,
    "waiting": True,
}  # fmt: skip
"""Status -> whether an answer is an interim one, because neither is the work completed nor does a plan stand for it."""

# ---------------------------------------------------------------------------------------------- who may give what

GROUPS: Final[dict[str, str]] = {
    "word": "comment attach",
    "resident": "supply urge object withdraw confirm renew_code",
    "joining": "follow",
    "leaving": "unfollow",
    "again": "reopen",
    "work": "accept assign schedule attempt contact arrive mitigate plan step_done answer ask wait extend complete",
    "set right": "assess resume",
    "not ours": "decline",
    "anybody here": "refer correct",
    "up": "escalate",
    "sitting": "sit",
    "steering": "redispatch return supervise instruct grant deny rule adopt merge reject",
    "parting": "split",
    "long list": "shelve",
    "data": "change_policy calendar_published directory_changed",
}
"""Commands that the same people may give."""

ORDER: Final = (
    "reporter", "neighbour", "company", "rival", "community", "elsewhere", "street", "far street", "department",
    "volunteers", "auditor", "admin",
)  # fmt: skip
MAY: Final[dict[str, dict[str, str]]] = {
    # Letters, in the order of ORDER: Reporter Neighbour Company rival comMunity elsewhere Street far-street
    # Department Volunteers auditor Admin; a dot where the actor may not.
    "company handles, property leads": {
        "word":         "R.C.M.S.....",
        "resident":     "R...........",
        "joining":      ".N..........",
        "leaving":      "............",
        "again":        "R.C.M.S.....",
        "work":         "..C.........",
        "set right":    "..C.M.S.....",
        "not ours":     "..C.........",
        "anybody here": "..C.M.S.....",
        "up":           "..C.M.S.....",
        "sitting":      "..C.M.S.....",
        "steering":     "....M.S.....",
        "parting":      "....M.S....A",
        "long list":    "......S.....",
        "data":         "...........A",
    },
    "company handles, community leads": {
        "word":         "R.C.M.S.....",
        "resident":     "R...........",
        "joining":      ".N..........",
        "leaving":      "............",
        "again":        "R.C.M.S.....",
        "work":         "..C.M.......",
        "set right":    "..C.M.S.....",
        "not ours":     "..C.........",
        "anybody here": "..C.M.S.....",
        "up":           "..C.M.S.....",
        "sitting":      "....M.S.....",
        "steering":     "....M.S.....",
        "parting":      "....M.S....A",
        "long list":    "......S.....",
        "data":         "...........A",
    },
    "company handles, street leads": {
        "word":         "R.C.M.S.....",
        "resident":     "R...........",
        "joining":      ".N..........",
        "leaving":      "............",
        "again":        "R.C...S.....",
        "work":         "..C...S.....",
        "set right":    "..C...S.....",
        "not ours":     "..C.........",
        "anybody here": "..C.M.S.....",
        "up":           "..C...S.....",
        "sitting":      "......S.....",
        "steering":     "......S.....",
        "parting":      "......S....A",
        "long list":    "......S.....",
        "data":         "...........A",
    },
    # given to somebody else, the company still leads, though it no longer does the work
    "volunteers handle, property leads": {
        "word":         "R.C.M.S..V..",
        "resident":     "R...........",
        "joining":      ".N..........",
        "leaving":      "............",
        "again":        "R.C.M.S..V..",
        "work":         "..C......V..",
        "set right":    "..C.M.S..V..",
        "not ours":     ".........V..",
        "anybody here": "..C.M.S..V..",
        "up":           "..C.M.S..V..",
        "sitting":      "..C.M.S.....",
        "steering":     "....M.S.....",
        "parting":      "....M.S....A",
        "long list":    "......S.....",
        "data":         "...........A",
    },
    "department handles, street leads": {
        "word":         "R.C.M.S.D...",
        "resident":     "R...........",
        "joining":      ".N..........",
        "leaving":      "............",
        "again":        "R.....S.D...",
        "work":         "......S.D...",
        "set right":    "......S.D...",
        "not ours":     "........D...",
        "anybody here": "..C.M.S.D...",
        "up":           "......S.D...",
        "sitting":      "......S.....",
        "steering":     "......S.....",
        "parting":      "......S....A",
        "long list":    "......S.....",
        "data":         "...........A",
    },
    # nobody under contract: the community is handler and lead in one
    "no contract": {
        "word":         "R...M.S.....",
        "resident":     "R...........",
        "joining":      ".N..........",
        "leaving":      "............",
        "again":        "R...M.S.....",
        "work":         "....M.......",
        "set right":    "....M.S.....",
        "not ours":     "....M.......",
        "anybody here": "....M.S.....",
        "up":           "....M.S.....",
        "sitting":      "....M.S.....",
        "steering":     "....M.S.....",
        "parting":      "....M.S....A",
        "long list":    "......S.....",
        "data":         "...........A",
    },
    # a complaint against the company: it has no part in it, and must not even know
    "about the operator": {
        "word":         "R...M.S.....",
        "resident":     "R...........",
        "joining":      ".N..........",
        "leaving":      "............",
        "again":        "R...M.S.....",
        "work":         "....M.......",
        "set right":    "....M.S.....",
        "not ours":     "....M.......",
        "anybody here": "....M.S.....",
        "up":           "....M.S.....",
        "sitting":      "....M.S.....",
        "steering":     "....M.S.....",
        "parting":      "....M.S....A",
        "long list":    "......S.....",
        "data":         "...........A",
    },
    # the society works like a company; its community still sees and steers, see `_from_above` for what it may not
    "society handles, property leads": {
        "word":         "R.C.M.S.....",
        "resident":     "R...........",
        "joining":      ".N..........",
        "leaving":      "............",
        "again":        "R.C.M.S.....",
        "work":         "..C.........",
        "set right":    "..C.M.S.....",
        "not ours":     "..C.........",
        "anybody here": "..C.M.S.....",
        "up":           "..C.M.S.....",
        "sitting":      "..C.M.S.....",
        "steering":     "....M.S.....",
        "parting":      "....M.S....A",
        "long list":    "......S.....",
        "data":         "...........A",
    },
}  # fmt: skip
SEES: Final[dict[str, str]] = {
    "company handles, property leads":   "R.C.M.S...UA",
    "company handles, community leads":  "R.C.M.S...UA",
    "company handles, street leads":     "R.C.M.S...UA",
    "volunteers handle, property leads": "R.C.M.S..VUA",
    "department handles, street leads":  "R.C.M.S.D.UA",
    "no contract":                       "R...M.S...UA",
    "about the operator":                "R...M.S...UA",
    "society handles, property leads":   "R.C.M.S...UA",
}  # fmt: skip
"""Who may know that the issue exists: those above, and the aUditor of its street."""

# ----------------------------------------------------------------------------- what the directory has to say about it

TOWN: Final = Directory(
    streets=(Street("north", ""), Street("south", "")),
    communities=(Community("elm", "", "north"), Community("oak", "", "south")),
    compounds=(Compound("garden", "", "elm"), Compound("yard", "", "elm"), Compound("court", "", "oak")),
    operators=(
        Operator("company-a", "", "company"), Operator("company-b", "", "company"), Operator("helpers", "", "volunteers"),
    ),
    departments=(Department("enforcement", "", "north"),),
    contracts=(
        Contract("company-a", "garden", Period(date(2026, 1, 1))), Contract("company-b", "court"),
        Contract("helpers", "yard", Period(date(2026, 1, 1))),
    ),
)  # fmt: skip
"""The company runs the garden, the rival the court in the far street, the volunteers the yard next to the garden."""
BEFORE: Final = local("2025-12-31 10:00")
"""Before the contracts of the garden and the yard."""
REPORTS: Final = {
    ("garden", False): "RNC.M.S.DV.A",
    ("yard", False):   "RN..M.S.DV.A",
    ("court", False):  "RN.r.O.F....",
    ("garden", True):  "RN..M.S.D..A",
    ("yard", True):    "RN..M.S.D..A",
}  # fmt: skip
"""(Compound, before the contracts) -> who may report there: residents anywhere, staff only where they work. Property staff
need the contract; departments and volunteers may do it all over a street in which they work."""
REACHES: Final[dict[tuple[str, bool], tuple[str, ...] | None]] = {
    ("company-a", False): ("north",), ("company-a", True): (), ("company-b", True): ("south",),
    ("elm", True): ("north",), ("enforcement", False): ("north",), ("south", False): ("south",), ("nobody", False): None,
}  # fmt: skip
"""(Organisation, before the contracts) -> the streets in which it works; None for who never had a contract."""
OVERSEES: Final = {
    "reporter": "",
    "company": "company-a",
    "rival": "company-b",
    "community": "elm company-a helpers",
    "elsewhere": "oak company-b",
    "street": "north elm company-a helpers enforcement",
    "far street": "south oak company-b",
    "department": "enforcement",
    "volunteers": "helpers",
    "auditor": "north elm company-a helpers enforcement",
    "admin": "north elm company-a helpers enforcement",
}
"""Whose worklists each may read: their own, and those of who works below them."""
ASSIGNED: Final[tuple[tuple[HandlerKind, tuple[str, ...] | None, bool], ...]] = (
    ("company", ("north",), True),
    ("company", ("north", "south"), True),
    ("company", ("south",), False),
    ("company", (), False),
    ("company", None, False),
    ("society", ("north",), True),
    ("society", None, False),
    ("community", ("north",), True),
    ("community", ("south",), False),
    ("department", ("north",), True),
    ("department", ("south",), False),
    ("street", ("north",), True),
    ("street", ("south",), False),
    ("volunteers", ("north",), True),
    ("volunteers", ("south",), False),
    ("volunteers", (), False),
    ("volunteers", None, True),
)
"""Kind of organisation, the streets in which it works that day (none: its contracts are over; None: it never had one),
and whether it may be given an issue of street `north`."""
FOLLOWS: Final = {
    ("closed", "garden"): True, ("closed", "yard"): False, ("open", "garden"): False, ("open", "yard"): False,
}  # fmt: skip
"""An old issue of the garden, and where one is reported that is to follow it."""
PINNED: Final = {
    date(2024, 12, 31): "2024 2025 2026", date(2025, 1, 1): "2025 2026", date(2026, 11, 20): "2026", date(2027, 1, 1): "",
}  # fmt: skip
"""The day on which an issue begins, and the years of the calendars that it is given."""
_VISIT: Final = (COMPANY, c.Schedule(REVIEW))
MEETS: Final[tuple[tuple[Status, tuple[tuple[Actor, Body], ...], str], ...]] = (
    ("dispatched", ((COMPANY, c.Accept()),), "accept"),
    ("dispatched", ((REPORTER, c.Urge()),), ""),
    ("dispatched", ((COMMUNITY, c.Comment("在看")),), ""),
    ("dispatched", ((COMMUNITY, c.Escalate("物业推诿")),), ""),
    ("dispatched", ((COMMUNITY, c.Escalate("物业推诿")), (COMMUNITY, c.Accept())), "community-accept"),
    ("accepted", ((COMPANY, c.Arrive()),), "arrive"),
    ("accepted", ((COMPANY, c.Arrive("complex")),), "arrive assess"),
    # an appointment is kept by coming, even if nobody is in
    ("accepted", (_VISIT, (COMPANY, c.Arrive())), "arrive appointment"),
    ("accepted", (_VISIT, (COMPANY, c.Attempt())), "appointment"),
    ("accepted", (_VISIT, (COMPANY, c.Assign("张工"))), ""),
    ("arrived", ((COMPANY, PLAN),), "plan"),
    # completed instead, what was still to be planned is not owed any more, and nobody has kept it
    ("arrived", ((COMPANY, DONE),), ""),
    # without a plan it is an interim answer
    ("arrived", ((COMPANY, c.Answer("我们在办")),), ""),
    ("planned", ((COMPANY, c.Answer("周六换管")),), "answer"),
    # of a plan's steps the one that is next is waited for; any word will do for its update
    ("planned", ((COMPANY, c.StepDone(1)),), "plan-step"),
    ("planned", ((COMPANY, c.StepDone(2)),), ""),
    ("planned", ((COMPANY, c.StepDone(1)), (COMPANY, c.StepDone(2)), (COMPANY, DONE)), "answer plan-step"),
    # the resident's limits, and those of a pause, are nobody's to keep
    ("completed", ((REPORTER, c.Confirm("solved", "satisfied")),), ""),
    ("suspended", ((REPORTER, c.Supply("三楼")),), ""),
    ("waiting", ((COMPANY, c.Resume()),), ""),
    # whoever must rule keeps the limit with the ruling
    ("arrived", ((COMPANY, c.Extend("要等材料")), (COMMUNITY, c.Grant())), "rule-extend"),
    ("arrived", ((COMPANY, c.Extend("要等材料")), (COMMUNITY, c.Comment("在看"))), ""),
    ("arrived", ((COMPANY, c.Decline("not_our_duty")), (COMMUNITY, c.Rule(upheld=False))), "rule-decline"),
)
"""A status, what is given in it, and the clauses whose limits the last command keeps."""

_GARDEN: Final = Appointment("x", "property", "company-a")
_ELM: Final = Appointment("x", "community", "elm", Period(None, date(2027, 1, 1)))
_ELM_AGAIN: Final = Appointment("x", "community", "elm", Period(date(2026, 1, 1)))
_NORTH: Final = Appointment("x", "auditor", "north")
ActingRow = tuple[tuple[Appointment, ...], str | None, str | None, tuple[Role, ...], tuple[Appointment, ...] | str]
ACTING: Final[tuple[ActingRow, ...]] = (
    # what is held, the role and the organisation that are named, what is preferred; what is acted by, or why not
    ((), None, None, (), ()),
    ((), "resident", None, (), ()),
    ((), "community", None, (), "NotAppointed"),
    ((), None, "elm", (), "NotAppointed"),
    ((_GARDEN,), None, None, (), (_GARDEN,)),
    ((_GARDEN,), "resident", None, (), ()),
    ((_GARDEN,), "resident", "company-a", (), "NotAppointed"),
    ((_GARDEN,), "community", None, (), "NotAppointed"),
    ((_GARDEN,), "property", "company-b", (), "NotAppointed"),
    ((_GARDEN, _ELM), None, None, (), "SeveralRoles"),
    ((_GARDEN, _ELM), "community", None, (), (_ELM,)),
    ((_GARDEN, _ELM), None, "company-a", (), (_GARDEN,)),
    ((_GARDEN, _ELM), None, None, ("auditor", "admin"), "SeveralRoles"),
    ((_GARDEN, _NORTH), None, None, ("auditor", "admin"), (_NORTH,)),
    ((_GARDEN, _NORTH), "property", None, ("auditor", "admin"), (_GARDEN,)),
    # twice the same is one way to act, by both
    ((_ELM, _ELM_AGAIN), None, None, (), (_ELM, _ELM_AGAIN)),
)
GATES: Final[dict[str, str]] = {
    "writes":           "resident property community street department volunteer admin",
    "audits":           "auditor",
    "reads_access_log": "auditor admin",
    "decodes":          "auditor admin",
    "searches_texts":   "resident property community street department volunteer",
}  # fmt: skip
"""What depends on nothing but the role."""
