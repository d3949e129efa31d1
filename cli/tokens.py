"""Local tokens for the command line and the demo."""

from typing import cast

from api.identity.tokens import issue_token
from cli.database import opened
from cli.errors import Failure
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
        raise Failure(f"unknown role {role}: one of {', '.join(ROLES)}")
    chosen = cast("Role", role)
    if not settings.accepts_local_tokens:
        raise Failure("local tokens are for the embedded default only (JIESU_LOCAL_TOKENS)")
    if person == "anonymous" or not person.strip():
        raise Failure("a token needs a person, and anonymous is nobody")
    if chosen == "resident":
        if org is not None:
            raise Failure("a resident acts for no organisation")
        return _issue(settings, person, chosen, None)
    if org is None:
        raise Failure(f"role {role} acts for an organisation: --org is missing")
    async with opened(settings) as database, database.read() as session:
        found = (await load_directory(session)).org(org)
    if found is None:
        raise Failure(f"unknown organisation {org}")
    if not role_fits(chosen, found):
        raise Failure(f"{org} is a {found.kind}: role {role} does not act for it")
    return _issue(settings, person, chosen, org)


def _issue(settings: Settings, person: str, role: Role, org: str | None) -> str:
    try:
        return issue_token(settings.home, person, role, org)
    except ValueError as error:  # the person's name, or the home's key
        raise Failure(str(error)) from None
