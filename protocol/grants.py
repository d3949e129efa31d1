"""What somebody holds in an issue when he gives a command: it travels with the command, so that the fold can judge it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from domain.commands import Authority
from domain.directory import Directory
from domain.place import Place


def grants_in(held: Sequence[Authority], place: Place, directory: Directory, day: date) -> tuple[Authority, ...]:
    """The authorities as they reach to this place: those of property staff say whether there is a contract for it."""
    return tuple(
        replace(each, compound=place.compound) if _is_contracted(each, place, directory, day) else each for each in held
    )


def _is_contracted(grant: Authority, place: Place, directory: Directory, day: date) -> bool:
    return grant.role == "property" and grant.org is not None and place.compound in directory.subtree(grant.org, day)
