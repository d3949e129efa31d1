"""Fills in the fields of a command that the rules need and the caller does not send.

They are about what the command names: a handler, a policy, another issue, or pictures of its own issue.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import domain.commands as c
from domain import completion
from domain.issue import Issue
from domain.policy import Policy
from protocol.caller import Caller
from protocol.clock import Now, today
from protocol.directory_cache import DirectoryCache
from protocol.errors import Invalid, NotFound, Unavailable
from protocol.reader import Reader
from protocol.time_budget import TimeBudget


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
                    raise Invalid(("policy", "there is no such policy"))
                return replace(body, body=self._policies[policy])
            case c.Adopt(issue=younger):
                return replace(body, opened=await self._opened(caller, younger, budget))
            case _:
                pass
        return body

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
            raise Invalid(("handler", "there is no such organisation"))
        return replace(body, handler_kind=org.kind, handler_streets=directory.reach(code, today(self._now())))

    async def _opened(self, caller: Caller, other: str, budget: TimeBudget) -> datetime:
        """When the issue `other` was opened. Raises Invalid if the caller may not see that issue."""
        try:
            return (await self._reader.visible(caller, other, budget)).issue.opened_at
        except NotFound:
            raise Invalid(("issue", "there is no such issue")) from None
