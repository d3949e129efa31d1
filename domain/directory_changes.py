"""What the directory says on a day about the people of an open issue."""

from datetime import date

from domain.commands import DirectoryChanged
from domain.directory import Directory
from domain.issue import Issue


def said_of(issue: Issue, directory: Directory, today: date) -> DirectoryChanged:
    """What the directory says today about the people of the issue; `domain.resolving.change` tells what follows."""
    person, handler = issue.assigned, issue.handler.code
    left = None if person is None or directory.is_appointed(person, handler, today) else person
    return DirectoryChanged(directory.place(issue.place.compound, today), directory.reach(handler, today), left)
