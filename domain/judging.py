"""Who judges completed work: nobody who acted in it, and nobody on the side of those who acted.

The authorities of a resident's command tell on whose side the resident is: the appointments that the same human holds
as staff stand beside the right to act as a resident.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from domain.access import capacities
from domain.commands import Actor, Authority
from domain.issue import Issue
from domain.vocabulary import Uncounted

OFTEN: Final = 3
"""How many reports staff of one organisation may take in under one phone within `OFTEN_WITHIN` before that is shown."""
OFTEN_WITHIN: Final = timedelta(days=30)


def acted_here(issue: Issue, grants: Iterable[Authority]) -> bool:
    """Whether the resident with these authorities acted in the issue as staff."""
    return any(grant.person in issue.acted for grant in grants)


def uncounted(issue: Issue, giver: Actor, grants: Iterable[Authority]) -> Uncounted | None:
    """Why the word of this resident on completed work does not count; None if it does.

    Because he belongs to the handler, to one before it or to an organisation that acted, or joined without a verified
    phone.
    """
    sides = {issue.handler.code, *issue.former, *(org for acted in issue.acted.values() for org in acted.orgs)}
    if any(grant.org in sides for grant in grants):
        return "own_side"
    follower = issue.followers.get(giver.person)
    return "unverified" if follower is not None and not follower.voice.rates else None


def is_shown(issue: Issue, viewer: Actor) -> bool:
    """Whether the viewer is shown how often an organisation took reports in under the phone of this issue.

    Those are who answer for it: the lead, and the levels of the place above it.
    """
    return (
        issue.taken_by is not None
        and bool(issue.reporter)
        and not capacities(issue, viewer).isdisjoint({"lead", "senior"})
    )
