"""Local tokens for the command line and the demo."""

from typing import cast

from api.identity.tokens import issue_token
from cli.database import opened
from cli.errors import Failure
from cli.language import says
from db.directory import load_directory
from domain.directory import role_fits
from domain.vocabulary import ROLES, Role
from runtime.settings import Settings


async def make(settings: Settings, person: str, role: str, org: str | None) -> str:
    """A bearer token for a person in a role, and for an organisation unless the role is `resident`.

    Raises Failure if this installation accepts no local tokens, if person or role is unknown, or if the role does not
    fit the organisation.
    """
    if role not in ROLES:
        raise Failure(says("unknown-role", role=role, known=", ".join(ROLES)))
    chosen = cast("Role", role)
    if not settings.accepts_local_tokens:
        raise Failure(says("local-tokens-off"))
    if person == "anonymous" or not person.strip():
        raise Failure(says("a-token-needs-a-person"))
    if chosen == "resident":
        if org is not None:
            raise Failure(says("resident-alone"))
        return _issue(settings, person, chosen, None)
    if org is None:
        raise Failure(says("org-missing", role=role))
    async with opened(settings) as database, database.read() as session:
        found = (await load_directory(session)).org(org)
    if found is None:
        raise Failure(says("unknown-org", org=org))
    if not role_fits(chosen, found):
        raise Failure(says("does-not-act-for", org=org, kind=found.kind, role=role))
    return _issue(settings, person, chosen, org)


def _issue(settings: Settings, person: str, role: Role, org: str | None) -> str:
    try:
        return issue_token(settings.home, person, role, org)
    except ValueError as error:  # the person's name, or the home's key
        raise Failure(str(error)) from None
