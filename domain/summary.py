"""Summary and details of an issue for the Temporal UI.

They hold no personal data, and special characters are escaped, since the UI shows texts as Markdown.
"""

import re

from domain.clocks import next_step
from domain.issue import Issue, lead_org
from domain.wire import format_time
from texts.vocabulary import CHINESE


def escape(text: str) -> str:
    """The text with all special characters of Markdown and HTML escaped."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~&:@])", r"\\\1", text.replace("\n", " "))


def summary(issue: Issue) -> str:
    """One line: category, place, number, urgency."""
    place = issue.place.name or issue.place.compound
    return escape(f"{CHINESE[issue.category]} {place} {issue.number}{' 紧急' if issue.urgent else ''}")


def details(issue: Issue) -> str:
    """Status, lead, handler, and the next step."""
    lines = [
        f"status: {issue.status} {CHINESE[issue.status]}",
        f"lead: {issue.level} {CHINESE[issue.level]} ({lead_org(issue)})",
        f"handler: {issue.handler.code}",
    ]
    if (step := next_step(issue)) is not None:
        lines.append(f"next: {step.milestone} by {format_time(step.due)} ({step.clause}) {step.org or 'resident'}")
    if issue.closed is not None:
        lines.append(f"closed: {issue.closed.kind}, {issue.closed.satisfaction}")
    return "\n\n".join(escape(line) for line in lines)
