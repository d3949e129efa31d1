"""What a search has found, in words for the author of a pack."""

from collections.abc import Iterator

from domain.policy import Clause, Policy
from policies.liveness.report import Found, Report, lasting


def refusals(policy: Policy, report: Report) -> Iterator[str]:
    """Why the pack may not be used: under it an issue can freeze, or nothing but a built-in clock prevents that."""
    if report.frozen:
        yield f"an issue freezes: {_told(report.frozen[0])}"
    elif not report.complete:
        yield f"the search came to no end in its time; try fewer commands than {report.commands}"
    elif report.hole is not None and policy.progress is None:
        yield (
            f"without a progress clock an issue freezes: {_told(report.hole)}. "
            "Give some clause that runs there a climb, or the pack a `progress` of its own"
        )


def findings(policy: Policy, report: Report) -> Iterator[str]:
    """What is known of the pack, one line for each thing."""
    yield f"left alone in {report.states:,} states, after up to {report.commands} commands of which {report.tried:,} were tried"
    yield (
        f"bound: if nobody acts, an issue is closed or led by the {policy.ladder[-1]} within {lasting(report.seconds)}, "
        "counted from the last act, or from the last date that somebody named; days off come on top"
    )
    yield f"  it takes longest after: {'; '.join(report.longest)}"
    if report.hole is not None:
        yield f"caught by the progress clock alone, after {lasting(report.hole.seconds)}: {'; '.join(report.hole.moves)}"
    yield from (f"clause {clause} never runs" for clause in report.never)
    yield from map(_early, (clause for clause in policy.clause if is_early(clause)))


def is_early(clause: Clause) -> bool:
    """Whether the clause moves the lead before its own limit."""
    return any(climb.timescale == clause.limit.timescale and climb.span < clause.limit.span for climb in clause.climb)


def _early(clause: Clause) -> str:
    return f"clause {clause.id} climbs before its limit of {clause.limit}: at {', '.join(map(str, clause.climb))}"


def _told(found: Found) -> str:
    return f"{'; '.join(found.moves)}; then nobody acts, and {found.said}"
