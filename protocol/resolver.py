"""Fills in the fields of a command that the rules need and the caller does not send.

They are about what the command names: a handler, a policy, another issue, or pictures of its own issue.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import domain.commands as c
from domain import completion
from domain.directory_changes import said_of
from domain.followers import adoption, voices
from domain.issue import Issue
from domain.policy import Policy
from protocol.caller import Caller
from protocol.clock import Now, today
from protocol.directory_cache import DirectoryCache
from protocol.errors import Invalid, NotFound, Unavailable
from protocol.reader import Reader
from protocol.time_budget import TimeBudget
from security import ids
from texts.catalogue import Wrong


class Resolver:
    """Looks up what a command needs from outside its issue, before it is sent. The workflow itself looks up nothing."""

    def __init__(self, directory: DirectoryCache, reader: Reader, policies: Mapping[str, Policy], now: Now) -> None:
        self._directory = directory
        self._reader = reader
        self._policies = policies
        self._now = now

    async def resolve(self, body: c.Body, issue: Issue, caller: Caller, budget: TimeBudget) -> c.Body:
        """The body of a command to `issue` with its RESOLVED fields filled in. Its texts are not sealed yet.

        Raises Invalid if something that it names does not exist, and Unavailable if that cannot be known. An issue that
        the caller may not see counts as one that does not exist.
        """
        match body:
            case c.Complete():
                return await self._completion(body, issue)
            case c.Redispatch(handler=str(handler)) | c.Rule(handler=str(handler)):
                return await self._handler(body, handler)
            case c.ChangePolicy(policy=policy):
                if policy not in self._policies:
                    raise Invalid(("policy", Wrong("no-such-policy")))
                return replace(body, body=self._policies[policy])
            case c.DirectoryChanged():
                return said_of(issue, await self._directory.get(), today(self._now()))
            case c.Assign(person=str(person)):
                return replace(body, appointed=await self._appointed(person, issue))
            case c.Adopt(issue=other):
                younger = await self._younger(caller, other, budget)
                return adoption(younger)
            case c.Follow():
                return c.Follow(rates=caller.actor is not None)
            case _:
                pass
        return body

    async def sides(self, issue: Issue, caller: Caller, actor: c.Actor) -> tuple[c.Authority, ...]:
        """The appointments that a resident holds as staff, by name or by phone. Raises Unavailable.

        The phone of who reported without a token is the one to call back. A name without an appointment is told only
        where it acted in the issue: histories hold no other subjects.
        """
        directory, names = await self._directory.get(), {actor.person, caller.subject}
        if (report := _nameless(issue, actor.person)) and (phone := await self._reader.phone(report)):
            names.add(ids.phone_pseudonym(caller.secret, phone))
        acted = [c.Authority("resident", None, "token", person=name) for name in names if name in issue.acted]
        return (*acted, *directory.sides(names, today(self._now())))

    async def _completion(self, body: c.Complete, issue: Issue) -> c.Body:
        """The body with whether it answers, and with what is known of the pictures that it names.

        Where no picture is needed, work can be completed although pictures cannot be looked up.
        """
        body = replace(body, answers=completion.answers(body))
        if not body.evidence:
            return body
        try:
            return replace(body, pictures=await self._reader.uploads(issue.id, set(map(str, body.evidence))))
        except Unavailable:
            if completion.needs_picture(issue, body):
                raise
            return body

    async def _handler(self, body: c.Redispatch | c.Rule, code: str) -> c.Body:
        """The body with the kind of the organisation `code` and the streets in which it works.

        By them the rules judge whether the organisation can become the handler.
        """
        directory = await self._directory.get()
        org = directory.org(code)
        if org is None:
            raise Invalid(("handler", Wrong("no-such-org")))
        return replace(body, handler_kind=org.kind, handler_streets=directory.reach(code, today(self._now())))

    async def _appointed(self, person: str, issue: Issue) -> str | None:
        """The person, if the directory appoints somebody of that name for the handler; None also if it cannot be read."""
        with suppress(Unavailable):
            if (await self._directory.get()).is_appointed(person, issue.handler.code, today(self._now())):
                return person
        return None

    async def _younger(self, caller: Caller, other: str, budget: TimeBudget) -> Issue:
        """The issue `other`. Raises Invalid if the caller may not see that issue."""
        try:
            return (await self._reader.visible(caller, other, budget)).issue
        except NotFound:
            raise Invalid(("issue", Wrong("no-such-issue"))) from None


def _nameless(issue: Issue, person: str) -> str | None:
    """The issue in which this resident reported without a token, which may have been merged; None for anybody else."""
    said = (voice for voice in voices(issue) if voice.person == person and voice.reported)
    return None if ids.is_pseudonym(person) else next((voice.issue for voice in said), None)
