"""The grants that the API adds to a command: by default exactly those that its actor needs."""

from domain.commands import Actor, Authority
from domain.place import Place


def granted(actor: Actor | None, place: Place) -> tuple[Authority, ...]:
    """The role in which the actor acts; for property staff with a contract for the place."""
    if actor is None:
        return ()
    return (Authority(actor.role, actor.org, compound=place.compound if actor.role == "property" else None),)
