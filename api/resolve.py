"""Fills in what a command's rules need to know and its caller cannot say: handlers, policies, the other issue."""

from collections.abc import Mapping
from dataclasses import replace

import domain.commands as c
from api.directory_cache import DirectoryCache
from api.identity import Caller
from api.problems import Invalid, NotFound, Refused
from api.reader import Reader, Seen
from api.stamp import Now, today
from domain.issue import Issue
from domain.policy import Policy
from domain.vocabulary import HandlerKind


class Resolver:
    """Everything is looked up before the command is sent: the workflow looks up nothing."""

    def __init__(self, directory: DirectoryCache, reader: Reader, policies: Mapping[str, Policy], now: Now) -> None:
        self._directory = directory
        self._reader = reader
        self._policies = policies
        self._now = now

    async def resolve(self, body: c.Body, caller: Caller, seen: Seen) -> c.Body:
        """The body with its RESOLVED fields. Raises Invalid for what does not exist, as for what is foreign."""
        match body:
            case c.Redispatch(handler=handler):
                return replace(body, handler_kind=await self._handler(seen.issue, handler))
            case c.Rule(handler=str(handler)):
                return replace(body, handler_kind=await self._handler(seen.issue, handler))
            case c.ChangePolicy(policy=policy):
                if policy not in self._policies:
                    raise Invalid(("policy", "there is no such policy"))
                return replace(body, body=self._policies[policy])
            case c.Adopt(issue=younger):
                await self._check_order(caller, older=seen.issue, other=younger, field="issue")
            case c.Merge(into=older):
                await self._check_order(caller, younger=seen.issue, other=older, field="into")
            case _:
                pass
        return body

    async def _handler(self, issue: Issue, code: str) -> HandlerKind:
        """What kind of organisation it is; only those that work in the issue's street can be given it."""
        directory = await self._directory.get()
        org = directory.org(code)
        streets = directory.streets_of(code, today(self._now()))
        # Volunteers have no contract that would say where they work.
        roams = org is not None and org.kind == "volunteers" and not directory.streets_of(code)
        if org is None or (issue.place.street not in streets and not roams):
            raise Invalid(("handler", "there is no such organisation in this street"))
        return org.kind

    async def _check_order(
        self, caller: Caller, other: str, field: str, older: Issue | None = None, younger: Issue | None = None
    ) -> None:
        """Of two issues that are one, both this caller's to see, the older survives."""
        try:
            found = (await self._reader.visible(caller, other)).issue
        except NotFound:
            raise Invalid((field, "there is no such issue")) from None
        older, younger = older or found, younger or found
        if older.id != younger.id and (older.opened_at, older.id) > (younger.opened_at, younger.id):
            raise Refused("invalid", "the older issue survives: merge the younger one into it")
