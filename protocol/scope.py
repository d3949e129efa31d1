"""How far an organisation's view reaches, for lists; single issues are judged by `domain.access`."""

from datetime import date

from domain.commands import Actor
from domain.directory import Directory


def covers(directory: Directory, viewer: Actor, org: str, day: date) -> bool:
    """Whether `org` is the viewer's own organisation, or one that works below it in the tree of places."""
    if viewer.role == "resident" or viewer.org is None:
        return False
    if org == viewer.org:
        return True
    match viewer.role:
        case "community":
            found = directory.org(org)
            below = found is not None and found.operator
            return below and not directory.subtree(org, day).isdisjoint(directory.subtree(viewer.org, day))
        case "street" | "auditor" | "admin":
            return viewer.org in directory.streets_of(org, day)
        case _:
            return False
