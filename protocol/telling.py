"""What a viewer is told of an issue, and of those that it takes up or follows: events with their texts, and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from domain.access import Sight
from domain.issue import Issue
from protocol.attachments import Attachments
from protocol.guards import AccessGuard, Masked
from protocol.reader import Reader, Timeline, VisibleIssue


@dataclass(frozen=True)
class Told:
    """An issue as its viewer is told of it. `masked` says why that is less than the rules allow, if it is.

    `pictures` are the digests of the pictures of an older issue, which are read in the newer one.
    """

    issue: Issue
    timeline: Timeline
    sight: Sight
    masked: Masked | None
    pictures: Sequence[str] = ()


async def told(
    seen: VisibleIssue, reader: Reader, access: AccessGuard, pictures: Sequence[str] = (), *, reveals: bool = True
) -> Told:
    """What the viewer is told. Raises Unavailable.

    Without `reveals` a phone number stays masked whoever looks, so that this is no reveal to be logged and counted.
    """
    if not reveals:
        seen = replace(seen, sight=replace(seen.sight, phone=False))
    found = await reader.timeline(seen)
    glance = await access.sight(seen, found.events)
    if glance.sight.text or glance.sight.own:
        found = await reader.opened(seen.issue.id, found)
    return Told(seen.issue, found, glance.sight, glance.masked, pictures)


async def told_before(
    seen: VisibleIssue, reader: Reader, access: AccessGuard, kept: Attachments | None, *, reveals: bool = True
) -> Sequence[Told]:
    """What the viewer is told of the closed issues that this one takes up or follows, the last first. Raises Unavailable."""
    found: list[Told] = []
    for old in await reader.before(seen):
        pictures = await kept.of_issue(old) if kept is not None and old.sight.text else ()
        found.append(await told(old, reader, access, [each.digest for each in pictures], reveals=reveals))
    return found
