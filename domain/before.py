"""What is read of the closed issue that another one takes up or follows."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from domain.access import Sight, may_see, sight
from domain.commands import Actor, Authority
from domain.followers import joinable
from domain.issue import Issue
from domain.values import copy_with


def sight_before(
    issue: Issue, old: Issue, viewer: Actor, grants: Iterable[Authority], at: datetime, *, taken_up: bool
) -> Sight | None:
    """How much somebody who may see `issue` sees of `old`; None for nothing. `grants` are his at `at`, in its place.

    If `issue` takes `old` up (`taken_up`), the matter goes on, and its papers with it: staff read them by what they are
    in it today. They read no phone, which may be that of a resident who is not in it any more; and a company of
    which `old` complains reads nothing, though nobody says so again. A resident sees what he saw in `old`, and
    whoever joins what was everybody's matter before as well.

    What only came back is another matter: there everybody sees what he may see of `old` anyway.
    """
    if viewer.role == "resident":
        known = may_see(old, viewer, grants, at) or (taken_up and joinable(old))
        return sight(old, viewer) if known else None
    here = copy_with(issue, about_operator=issue.about_operator or old.about_operator) if taken_up else old
    return replace(sight(here, viewer), phone=False) if may_see(here, viewer, grants, at) else None
