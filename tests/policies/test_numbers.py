"""The numbers of every shipped pack, written down once more by hand from the districts' published rules.

A change here is a change of a promise: it needs a new version of the pack, and a source.
"""

import pytest

from policies.loader import load_pack, shipped

ASSUMED = "assumed"

# level, milestone, starts, when, limit, climb; a pack's clauses in their order
CLAUSES = {
    "52022": [
        ("property", "accept", "led", "", "10sm", "30sm"),
        ("property", "arrive", "accepted", "", "5sm", "30sm"),
        ("property", "assess", "arrived", "", "10sm", "30sm"),
        ("property", "complete", "assessed", "minor", "20sm", "60sm"),
        ("property", "plan", "assessed", "complex", "2nd", "2nd"),
        ("property", "answer", "planned", "", "2nd", "2nd"),
        ("community", "accept", "led", "", "2sh", ""),
        ("community", "answer", "led", "", "2nd", "2nd"),
        ("street", "accept", "led", "", "4sh", ""),
        ("street", "answer", "led", "", "5wd", ""),
    ],
    "3+3+5": [
        ("property", "arrive", "reported", "", "3sh", "3sh"),
        ("property", "handle", "arrived", "", "3sh", "3sh"),
        ("issue", "answer", "reported", "", "5wd", "5wd"),
        ("community", "accept", "led", "", "3sh", "3sh"),
        ("community", "act", "led", "", "1wd", "1wd"),
        ("street", "accept", "led", "", "3sh", ""),
        ("street", "act", "led", "", "1wd", ""),
    ],
    "dispute": [
        ("community", "contact", "reported", "", "1wd", ""),
        ("community", "sit", "reported", "", "2wd", ""),
        ("issue", "complete", "reported", "", "3wd", "3wd"),
        ("street", "complete", "led", "", "30nd", ""),
        ("community", "accept", "led", "urgent", "30m", ""),
        ("community", "accept", "led", "", "4sh", ""),
        ("street", "accept", "led", "urgent", "30m", ""),
        ("street", "accept", "led", "", "4sh", ""),
    ],
    "12345": [
        ("property", "accept", "led", "urgent", "30m", "30m"),
        ("property", "accept", "led", "", "1wd", "1wd"),
        ("property", "contact", "accepted", "urgent", "30m", ""),
        ("property", "contact", "accepted", "", "24h", ""),
        ("issue", "answer", "dispatched", "urgent", "2h", "30m 60m"),
        ("issue", "answer", "dispatched", "utilities", "24h", "6h 12h"),
        ("issue", "answer", "dispatched", "complex big hard", "15nd", "8nd 12nd"),
        ("issue", "answer", "dispatched", "", "7nd", "4nd 6nd"),
        ("community", "accept", "led", "urgent", "30m", ""),
        ("community", "accept", "led", "", "4sh", ""),
        ("street", "accept", "led", "urgent", "30m", ""),
        ("street", "accept", "led", "", "4sh", ""),
    ],
    "demo": [
        ("property", "accept", "led", "", "10s", "10s"),
        ("property", "arrive", "accepted", "", "10s", "10s"),
        ("property", "assess", "arrived", "", "10s", "10s"),
        ("property", "complete", "assessed", "minor", "10s", "10s"),
        ("property", "plan", "assessed", "complex big hard", "10s", "10s"),
        ("property", "answer", "planned", "", "10s", "10s"),
        ("community", "accept", "led", "", "10s", "10s"),
        ("community", "answer", "led", "", "10s", "10s"),
        ("street", "accept", "led", "", "10s", ""),
        ("street", "answer", "led", "", "10s", ""),
    ],
}

# ladder, hours, landing, silence, reopen, transfers, extend, ask, plan, top
ORDINARY = (
    "08:00-20:00", "opening", "5wd", (3, 3), 3, (1, "2nd"), (2, "5wd"), ("7nd", "15nd", "60nd"), ("1wd", "8wd", 30),
)  # fmt: skip
HEADERS = {
    "52022": ("property community street", *ORDINARY),
    "3+3+5": ("property community street", *ORDINARY),
    "12345": ("property community street", *ORDINARY),
    "dispute": ("community street", *ORDINARY),
    "demo": (
        "property community street", "00:00-24:00", "at once", "60s", (3, 3), 3, (1, "10s"), (2, "30s"),
        ("60s", "15nd", "60nd"), ("10s", "80s", 10),
    ),
}  # fmt: skip

# own pauses, rulings, progress, days off, a year without a calendar, reminders at the top in the end; all assumed but
# the days off, which are the Civil Code's
WEEK = ("2nd", "1wd", ("7nd", "7nd", "24h"))
FIGURES = {
    "52022": (*WEEK, "keep", "15nd", "30nd"),
    "3+3+5": (*WEEK, "keep", "15nd", "30nd"),
    "12345": (*WEEK, "next_working_day", "15nd", "30nd"),
    "dispute": (*WEEK, "keep", "15nd", "30nd"),
    "demo": ("20s", "10s", ("60s", "60s", "60s"), "keep", "15nd", "1nd"),
}
EVIDENCE = {"52022": "leak drain facility", "3+3+5": "leak drain facility", "12345": "leak drain facility"}

# what the districts have published; all else is assumed, wholly or in part, and says so
PUBLISHED = {
    "52022": {"arrive", "minor", "plan"},
    "3+3+5": {"arrive", "handle"},
    "dispute": {"settle"},
    "12345": set[str](),
    "demo": set[str](),
}


def test_every_shipped_pack_is_here() -> None:
    assert {policy.id for policy in shipped()} == set(CLAUSES) == set(HEADERS) == set(PUBLISHED)


@pytest.mark.parametrize("policy_id", CLAUSES)
def test_each_pack_has_the_published_clauses(policy_id: str) -> None:
    found = [
        (
            clause.level,
            clause.milestone,
            clause.starts,
            " ".join(clause.when),
            str(clause.limit),
            " ".join(map(str, clause.climb)),
        )
        for clause in load_pack(policy_id).clause
    ]
    assert found == CLAUSES[policy_id]


@pytest.mark.parametrize("policy_id", HEADERS)
def test_each_pack_has_the_published_header(policy_id: str) -> None:
    policy = load_pack(policy_id)
    plan, top = policy.plan, policy.top
    assert HEADERS[policy_id] == (
        " ".join(policy.ladder),
        str(policy.service_hours),
        policy.climb_lands,
        str(policy.silence.within),
        (policy.reopen.times, policy.reopen.climbs_from),
        policy.transfers.climbs_from,
        (policy.extend.times, str(policy.extend.max)),
        (policy.ask.times, str(policy.ask.max)),
        (str(plan.update), str(plan.community_over), str(plan.street_over)),
        (str(top.remind), str(top.doubling_to), top.times),
    )
    assert (policy.version, policy.warn_at, str(policy.grace)) == (1, 0.8, "1s")


@pytest.mark.parametrize("policy_id", FIGURES)
def test_each_pack_has_the_figures_that_keep_its_clocks(policy_id: str) -> None:
    policy = load_pack(policy_id)
    progress = policy.progress
    assert progress is not None
    assert FIGURES[policy_id] == (
        str(policy.pause.own),
        str(policy.rule),
        (str(progress.within), str(progress.climb), str(progress.urgent)),
        policy.day_off,
        str(policy.provisional),
        str(policy.top.then),
    )
    assert " ".join(policy.evidence) == EVIDENCE.get(policy_id, "")


@pytest.mark.parametrize("policy_id", PUBLISHED)
def test_what_no_report_says_is_marked_assumed(policy_id: str) -> None:
    policy = load_pack(policy_id)
    assert {clause.id for clause in policy.clause if ASSUMED not in clause.source} == PUBLISHED[policy_id]


def test_only_a_small_problem_asks_for_another_assessment_and_no_day_ends_early() -> None:
    clauses = [(policy.id, clause) for policy in shipped() for clause in policy.clause]
    assert [(pack, clause.id, clause.ask) for pack, clause in clauses if clause.ask] == [("52022", "minor", "reassess")]
    assert {clause.ends for _, clause in clauses} == {"day"}
