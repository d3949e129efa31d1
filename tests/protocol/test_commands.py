"""The command protocol over a real database and workflows that are folded in memory, without a server."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from db.directory import store_directory
from db.engine import Database
from db.hits import HitStore
from db.upgrade import upgrade_async
from domain.advance import advance
from domain.commands import Accept, Actor, Body, Command, Comment, Complete, Confirm, Merge, merge_command_id
from domain.directory import Directory
from domain.events import dump_event
from domain.issue import Issue
from protocol.caller import Caller
from protocol.clock import Skew
from protocol.commands import Applied, CommandDraft, CommandService
from protocol.directory_cache import DirectoryCache
from protocol.envelope import Envelope
from protocol.errors import Invalid, KeyReused, NotFound, Refused, Stale, Unavailable
from protocol.gateway import NoWorker, TemporalDown, TemporalGateway, WorkflowClosed
from protocol.limits import Quotas
from protocol.pending import PendingCommands, Queued
from protocol.read_model import ReadModel
from protocol.reader import Reader
from protocol.receipts import Receipts
from protocol.resolver import Resolver
from runtime.executions import Execution
from security.vault import Erased, Vault
from support.grants import granted
from support.stories import COMMUNITY, PLACE, PROPERTY, START, Story, store

SECRET = b"secret"


class Letters:
    """A vault that seals nothing, until the keys are destroyed."""

    is_erased = False

    async def seal_body(self, issue: str, command: str, body: Body) -> Body:
        if self.is_erased:
            raise Erased(issue)
        return body


@dataclass
class Workflows:
    """What Temporal and a worker do: folds signals, and stores the events."""

    database: Database
    stories: dict[str, Story] = field(default_factory=dict)
    sent: list[tuple[str, Command]] = field(default_factory=list)
    unstored: list[dict[str, Any]] = field(default_factory=list)
    lost: int = 0
    """So many signals are not delivered."""
    has_worker: bool = True
    stores: bool = True
    is_closed: bool = False

    async def signal(self, issue: str, root: str, envelope: Envelope, timeout: timedelta) -> None:
        self.sent.append((issue, envelope.command))
        if self.lost > 0:
            self.lost -= 1
            raise TemporalDown
        if self.is_closed:
            raise WorkflowClosed
        if self.has_worker:
            await self.take(issue, envelope.command, stores=self.stores)

    async def take(self, issue: str, command: Command, *, stores: bool = True) -> None:
        story = self.stories[issue]
        story.now = command.at
        story.issue, events = advance(story.issue, [command], command.at)
        self.unstored += [dump_event(event) for event in events]
        if stores and self.unstored:
            await store(self.database, story, self.unstored)
            self.unstored.clear()

    async def snapshot(self, issue: str, timeout: float) -> Issue | None:
        if not self.has_worker:
            raise NoWorker
        return self.stories[issue].issue if issue in self.stories else None

    async def beginning(self, issue: str, timeout: float) -> None:
        return None

    async def newest_run(self, issue: str) -> Execution:
        return Execution(issue, "run", "completed", None)

    @property
    def names(self) -> list[tuple[str, str]]:
        return [(issue, command.name) for issue, command in self.sent]


@dataclass
class Protocol:
    service: CommandService
    workflows: Workflows
    letters: Letters
    caller: Caller

    async def reported(self, at: datetime = START) -> str:
        story = Story(now=at)
        self.workflows.stories[story.id] = story
        await store(self.workflows.database, story, story.reported())
        return story.id

    async def give(
        self, issue: str, body: Body, key: str = "k", version: int | None = None, who: Actor | None = None
    ) -> Applied | Queued:
        caller = self.caller if who is None else caller_of(who)
        return await self.service.give(caller, issue, CommandDraft(body, key, version))


def caller_of(actor: Actor) -> Caller:
    return Caller(actor, None, SECRET, actor.person, granted(actor, PLACE))


class Clock:
    def __init__(self) -> None:
        self._now = START + timedelta(minutes=5)

    def __call__(self) -> datetime:
        self._now += timedelta(milliseconds=10)
        return self._now


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path / 'jiesu.db'}"
    await upgrade_async(url)
    found = Database(url)
    await prepared(found)
    yield found
    await found.close()


async def prepared(database: Database) -> None:
    """Gives the database a directory, though an empty one."""
    async with database.write() as session:
        await store_directory(session, Directory(), datetime.now(UTC))


def service(database: Database, workflows: Workflows, letters: Letters | Vault, receipts: Receipts) -> CommandService:
    model, now = ReadModel(database, timeout=60), Clock()
    gateway, vault = cast("TemporalGateway", workflows), cast("Vault", letters)
    directory = DirectoryCache(model)
    reader = Reader(model, gateway, vault, directory, now)
    return CommandService(
        reader=reader, gateway=gateway, receipts=receipts,
        pending=PendingCommands(model, now), model=model, resolver=Resolver(directory, reader, {}, now), vault=vault,
        quotas=Quotas({}, HitStore(database, SECRET)), skew=Skew(), now=now,
    )  # fmt: skip


@pytest.fixture
async def protocol(database: Database) -> AsyncIterator[Protocol]:
    workflows, letters, receipts = Workflows(database), Letters(), Receipts(ReadModel(database, timeout=60))
    yield Protocol(service(database, workflows, letters, receipts), workflows, letters, caller_of(COMMUNITY))
    await receipts.close()


async def test_a_repeat_is_answered_without_a_second_signal(protocol: Protocol) -> None:
    issue = await protocol.reported()
    first = await protocol.give(issue, Comment("在路上"))
    assert isinstance(first, Applied)
    assert await protocol.give(issue, Comment("在路上")) == first
    assert protocol.workflows.names == [(issue, "comment")]
    with pytest.raises(KeyReused, match="to this issue"):
        await protocol.give(issue, Comment("另一句"))


async def test_a_command_that_the_rules_refuse_is_not_signalled(protocol: Protocol) -> None:
    issue = await protocol.reported()
    with pytest.raises(Refused) as refused:
        await protocol.give(issue, Confirm("solved", "satisfied"))
    assert refused.value.command_id is None
    with pytest.raises(Stale):
        await protocol.give(issue, Comment("在路上"), version=7)
    assert protocol.workflows.sent == []


async def test_where_the_row_lags_the_workflow_has_the_last_word(protocol: Protocol) -> None:
    issue = await protocol.reported()
    accept = Command("c1", START + timedelta(minutes=5), PROPERTY, Accept(), grants=granted(PROPERTY, PLACE))
    await protocol.workflows.take(issue, accept, stores=False)
    version = protocol.workflows.stories[issue].issue.version
    done = await protocol.give(issue, Comment("在路上"), version=version)  # the row is older, and would object
    assert isinstance(done, Applied)
    assert done.issue.status == "accepted"


async def test_a_refusal_on_record_bears_the_commands_id(protocol: Protocol) -> None:
    issue = await protocol.reported()
    protocol.workflows.has_worker = False
    queued = await protocol.give(issue, Comment("在路上"))
    assert isinstance(queued, Queued)
    protocol.workflows.has_worker = True
    _, command = protocol.workflows.sent[0]
    await protocol.workflows.take(
        issue, Command(command.id, command.at, command.actor, Complete(answer="x"), grants=())
    )
    with pytest.raises(KeyReused):  # a forged signal took the id
        await protocol.give(issue, Comment("在路上"))
    with pytest.raises(Refused) as refused:
        await protocol.give(issue, Complete(answer="x"))
    assert refused.value.command_id == queued.command_id


async def test_a_key_that_is_pending_cannot_be_used_for_another_command(database: Database, protocol: Protocol) -> None:
    issue = await protocol.reported()
    protocol.workflows.has_worker = False
    queued = await protocol.give(issue, Comment("在路上"))
    assert await protocol.give(issue, Comment("在路上")) == queued
    receipts = Receipts(ReadModel(database, timeout=60))
    other = service(database, protocol.workflows, protocol.letters, receipts)  # another process finds it in the table
    with pytest.raises(KeyReused, match=r"another command$"):
        await other.give(protocol.caller, issue, CommandDraft(Comment("另一句"), "k"))
    assert await other.receipt(protocol.caller, queued.command_id) == queued
    await receipts.close()


async def test_a_signal_that_is_lost_is_sent_again_with_a_new_time(protocol: Protocol) -> None:
    issue = await protocol.reported()
    protocol.workflows.lost = 1
    assert isinstance(await protocol.give(issue, Comment("在路上")), Applied)
    (_, first), (_, second) = protocol.workflows.sent
    assert (first.id, first.body) == (second.id, second.body)
    assert first.at < second.at
    protocol.workflows.lost = 2
    with pytest.raises(Unavailable, match="Temporal does not answer"):
        await protocol.give(issue, Comment("在路上"), "k2")


async def test_a_command_to_a_workflow_that_has_ended_is_answered_from_the_newest_state(protocol: Protocol) -> None:
    issue = await protocol.reported()
    protocol.workflows.is_closed = True
    with pytest.raises(Unavailable, match="is being closed"):
        await protocol.give(issue, Comment("在路上"))


async def test_without_the_key_of_an_issue_only_a_repeat_is_answered(protocol: Protocol) -> None:
    issue = await protocol.reported()
    first = await protocol.give(issue, Comment("在路上"))
    protocol.letters.is_erased = True
    assert await protocol.give(issue, Comment("在路上")) == first
    with pytest.raises(Refused) as refused:
        await protocol.give(issue, Comment("在路上"), "k2")
    assert refused.value.code == "erased"


async def test_a_foreign_issue_is_not_found(protocol: Protocol) -> None:
    issue = await protocol.reported()
    stranger = Actor("x", "community", "other-community")
    for found in (issue, "a" * 26):
        with pytest.raises(NotFound):
            await protocol.give(found, Comment("x"), who=stranger)


def after(issue: str, names: Sequence[tuple[str, str]]) -> list[str]:
    return [name for found, name in names if found == issue]


async def test_a_merge_asks_the_older_issue_first_and_is_one_command_to_the_caller(protocol: Protocol) -> None:
    older, younger = await protocol.reported(), await protocol.reported(START + timedelta(minutes=1))
    merged = await protocol.give(younger, Merge(older))
    assert isinstance(merged, Applied)
    assert (merged.issue.id, merged.issue.merged_into) == (younger, older)
    assert protocol.workflows.names == [(older, "adopt"), (younger, "merge")]
    assert protocol.workflows.sent[0][1].id == merged.command_id
    assert protocol.workflows.sent[1][1].id == merge_command_id(younger, older)
    assert await protocol.give(younger, Merge(older)) == merged
    assert len(protocol.workflows.sent) == 2


async def test_a_merge_that_one_of_both_refuses_reaches_neither(protocol: Protocol) -> None:
    older, younger = await protocol.reported(), await protocol.reported(START + timedelta(minutes=1))
    with pytest.raises(Refused):
        await protocol.give(older, Merge(younger))
    with pytest.raises(Invalid, match="into: there is no such issue"):
        await protocol.give(younger, Merge("nothing"))
    assert protocol.workflows.sent == []


async def test_a_queued_merge_keeps_its_key(protocol: Protocol) -> None:
    older, younger = await protocol.reported(), await protocol.reported(START + timedelta(minutes=1))
    protocol.workflows.has_worker = False
    queued = await protocol.give(younger, Merge(older))
    assert isinstance(queued, Queued)
    assert queued.issue == older
    assert protocol.workflows.names == [(older, "adopt")]
    with pytest.raises(KeyReused):
        await protocol.give(younger, Comment("x"))
    protocol.workflows.has_worker = True
    merged: Any = await protocol.give(younger, Merge(older))
    assert (merged.command_id, merged.issue.merged_into) == (queued.command_id, older)
