"""Reports that may start an issue: the workflow and a later audit judge them alike."""

from datetime import UTC, datetime
from typing import Any

import pytest

from calendars import load_all
from domain.issue import RULES_VERSION
from domain.pins import pins_digest, read_calendars, read_policy
from domain.wire import dump, format_time
from policies.loader import load_pack
from support.golden import PLACE
from support.keys import ephemeral_keys
from workflows.contract import Start
from workflows.mailbox import ForgedError, report_of

COMMUNITY = {"person": "c1", "role": "community", "org": "demo-community"}
POLICY, CALENDARS = load_pack("demo"), load_all()


def started(actor: dict[str, Any], *grants: dict[str, Any]) -> Start:
    """An issue that the API began, as far as its signature says."""
    signer = ephemeral_keys().signer
    body = {"number": "JS-1", "place": PLACE, "category": "leak", "description": "漏水", "root": signer.root}
    report = {
        "id": "report-1", "at": format_time(datetime.now(UTC)), "actor": actor, "grants": list(grants),
        "body": body | {"pins": pins_digest(POLICY, CALENDARS, RULES_VERSION)},
    }  # fmt: skip
    signed = signer.sign(signer.root, "issue-1", "report", report)
    return Start("issue-1", dump(POLICY), [dump(each) for each in CALENDARS], RULES_VERSION, signed)


def taken(start: Start) -> bool:
    return report_of(start, read_policy(start.policy), read_calendars(start.calendars)) is not None


def test_residents_and_staff_of_the_place_begin_issues() -> None:
    assert taken(started({"person": "r1", "role": "resident"}))
    assert taken(started(COMMUNITY, {"role": "community", "org": "demo-community"}))


@pytest.mark.parametrize(
    ("actor", "grant"),
    [
        (COMMUNITY, None),
        (COMMUNITY, {"role": "community", "org": "demo-community", "end": "2026-01-01"}),
        (COMMUNITY | {"org": "other-community"}, {"role": "community", "org": "other-community"}),
        (COMMUNITY | {"role": "property", "org": "demo-property"}, {"role": "property", "org": "demo-property"}),
        (COMMUNITY | {"role": "auditor", "org": "demo-street"}, {"role": "auditor", "org": "demo-street"}),
    ],
)
def test_a_report_without_a_sufficient_grant_is_rejected(actor: dict[str, Any], grant: dict[str, Any] | None) -> None:
    with pytest.raises(ForgedError, match="had given this person the role"):
        taken(started(actor, *([] if grant is None else [grant])))
