"""A crowd of random issues on real servers, for audit tests, with every kind of failure among them.

``python -m support.crowd FOLDER [N [SEED]]`` leaves an installation in the folder. The same seed plays the same
commands; their order across issues depends on the machine.
"""

import asyncio
import contextlib
import itertools
import random
import shutil
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import insert
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode

import domain.commands as c
import worker
from activities.notices import Deliverer, TableChannel
from activities.pictures import StoredPictures
from activities.privacy import REQUEST, Privacy
from audit import log
from audit.archive import Archive
from audit.content import Places
from audit.heads import Destinations, publish
from audit.log_keys import LogKeys
from audit.verify_all import Source
from calendars import load_all
from db.engine import Database
from db.tables import AttachmentRow
from db.upgrade import upgrade_async
from db.writer import Work
from domain.access import may_give
from domain.advance import advance
from domain.commands import NAMES, Actor, Authority, Body, Command
from domain.followers import adoption
from domain.issue import RULES_VERSION, Issue
from domain.pins import pins_digest, read_policy
from domain.place import Handler
from domain.policy import Policy
from domain.retention import Retention
from domain.vocabulary import CATEGORIES, Category, OperatorKind
from domain.wire import dump, truncate
from domain.worktime import Limit
from policies.loader import load_pack
from protocol.envelope import Envelope, plain_of
from protocol.gateway import Pins, TemporalDown, TemporalGateway
from runtime.blobs import DigestStore
from runtime.temporal import encrypting
from security.keystore import KeyStore, KeyStoreDown
from security.master import MasterFile
from security.vault import Vault
from support.completions import completed
from support.keys import ephemeral_keys
from support.outage import away
from support.signers import lasting_signer
from support.temporal import dev_server
from tests.domain.casting import BODIES, ENDING, Maker, rightful, usual
from tests.domain.play import CASTING, COMMUNITY, NEIGHBOUR, REPORTER, SETTLED_2027, STREET, place
from workflows.contract import PREFIX

T = TypeVar("T")

SIDE_BY_SIDE: Final = 48
"""Issues that are open at once: as many as keep two cores busy without making anybody late for it."""
COMING: Final = 20
"""How many come in a second at first."""
SUGGESTED_EVENTS: Final = 60
SUGGESTED: Final = f"limit.historyCount.suggestContinueAsNew={SUGGESTED_EVENTS}"
HICCUPS: Final = 0.03
"""How often a transaction of a record fails."""
AWAY: Final = 5.0
"""Seconds for which the database hangs."""
IDLE: Final = 4.0
"""Seconds without any worker: longer than the grace, so that climbs are recorded late."""
CACHED_LATER: Final = 24
"""Workflows that the second worker keeps in memory: fewer than are open, so that it replays again and again."""
PATIENCE: Final = 600.0
"""Seconds for one issue on a machine that is busy otherwise."""
OTHER_PACKS: Final = ("52022", "12345", "dispute", "3+3+5")
POISON: Final[tuple[tuple[str, tuple[bytes, ...]], ...]] = (
    ("frobnicate", (b"{}",)),
    ("report", (b"{}",)),
    ("accept", ()),
    ("accept", (b"{}", b"{}")),
    ("accept", (b"{nope",)),
    ("comment", (b"[1, 2]",)),
    ("comment", (b'{"id": "x", "at": "2026-11-21T08:00:00.000Z", "body": {}}',)),
    ("wait", (b'{"id": "\xff"}',)),
)
"""Signals that nobody can read, with the payloads that come along."""


def _fixed(*bodies: Body) -> tuple[Maker, ...]:
    return tuple(lambda _, body=body: body for body in bodies)


def _done(now: datetime) -> Body:
    return completed("company-a", now)


PARTS: Final[tuple[tuple[Maker, ...], ...]] = (
    _fixed(c.Accept(), c.Decline("not_our_duty"), c.Rule(upheld=False, reason="合同里写了")),
    (
        *_fixed(c.Decline("unclear"), c.Rule(upheld=True), c.Accept(), c.Sit("三方会商")),
        lambda now: completed("elm", now, "settled"),
    ),
    _fixed(c.Accept(), c.Extend("要勘察"), c.Grant(), c.Extend("还不够")),
    _fixed(c.Accept(), c.Extend("要勘察"), c.Deny(reason="不同意")),
    _fixed(c.Accept(), c.Ask("几楼?"), c.Supply("五楼"), c.Assign("张工"), c.Attempt("没人"), c.Contact("通了")),
    _fixed(c.Accept(), c.Arrive("complex"), c.Mitigate("关了阀"), c.Answer("下月"), c.Refer("110"), c.Urge("快")),
    _fixed(c.Escalate("要上级管"), c.Escalate("还要"), c.Shelve("等资金"), c.Resume("有钱了"), c.Return("再办")),
    (*_fixed(c.Accept()), _done, *_fixed(c.Reopen("又漏了"), c.Supervise("盯着"), c.Instruct("今天"))),
    _fixed(
        c.Correct("门牌写错"),
        c.Correct("是下水道", "drain"),
        c.Comment("说一句"),
        c.Redispatch("elm", "自己办", "community", ("north",)),
    ),
    _fixed(c.Accept(), c.Assess("minor"), c.Assess("complex", "墙内漏"), c.CalendarPublished(SETTLED_2027)),
    (*_fixed(c.Accept()), BODIES["directory_changed"][0]),
    (*_fixed(c.Accept(), c.Arrive("complex")), BODIES["plan"][2], *_fixed(c.Grant("plan"), c.StepDone(1))),
    (*_fixed(c.Accept()), BODIES["schedule"][0], BODIES["wait"][0], *_fixed(c.Resume())),
    (*_fixed(c.Accept(), c.ChangePolicy("52022", "错绑", load_pack("52022")), c.Arrive("minor")), _done),
)
"""How the first ones begin, and others now and then: so that each command is taken at least once."""
LATE: Final = timedelta(seconds=1)
"""After so long a command that was not sent yet is stamped anew, lest it be too old when it is taken."""
PIXEL: Final = b"\x89PNG\r\n\x1a\n"
ERASED: Final = 3
"""How many issues are erased in the end."""
SEALED: Final = 0.8
"""The share of those whose report is sealed; of the others the auditor can say by what words they are found."""
MANY: Final = 18
"""Steps of a long one."""
LONG: Final = 6
"""How many of the next go on until they are continued as new, whatever is drawn."""
LONGEST: Final = 200.0
"""Seconds that this may take on any machine."""


class Hiccup(ApplicationError):
    """A transaction that failed for no reason that anybody knows of."""

    def __init__(self) -> None:
        super().__init__("the database has its moods", category=ApplicationErrorCategory.BENIGN)


class Moody(Database):
    """A database of which one transaction in many fails, before it is made or after: drawn by the seed."""

    def __init__(self, url: str, seed: str) -> None:
        super().__init__(url)
        self._draw = random.Random(seed)

    async def transact(self, work: Work[T]) -> T:
        drawn = self._draw.random()
        if drawn < HICCUPS / 2:
            raise Hiccup
        result = await super().transact(work)
        if drawn < HICCUPS:
            raise Hiccup  # committed, but reported as failed
        return result


@dataclass(frozen=True)
class Crowd:
    """An installation on disk in which a crowd has lived: all its issues are closed and sealed, and two heads published."""

    folder: Path

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.folder / 'jiesu.db'}"

    @property
    def archive_url(self) -> str:
        return f"file://{self.folder / 'archive'}"

    @property
    def heads(self) -> Path:
        """Where the heads of the log were put, outside the database."""
        return self.folder / "heads"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def vault(self) -> Path:
        """The keys of issues, and the master keys."""
        return self.folder / "vault"

    @property
    def places(self) -> Places:
        store, pictures = f"sqlite+aiosqlite:///{self.vault / 'issues.db'}", (self.folder / "attachments").as_uri()
        return Places(pictures, store, self.vault / "master.json")

    @property
    def source(self) -> Source:
        return Source(self.database_url, self.archive_url, places=self.places)

    def copied(self, folder: Path) -> "Crowd":
        """The same installation once more, for somebody to tamper with."""
        shutil.copytree(self.folder, folder)
        return Crowd(folder)


@cache
def hurried(seconds: int, **other: Any) -> Policy:
    """The demo pack with limits of a second or two, so that every light goes on and every silence ends."""
    plain: dict[str, Any] = dump(load_pack("demo"))
    for clause in plain["clause"]:
        clause["limit"] = f"{seconds}s"
        if clause.get("climb"):
            clause["climb"] = [f"{seconds}s"]
    plain |= {
        "id": f"hurried-{seconds}", "title": "急", "silence": {"within": "2s"}, "ask": {"times": 2, "max": "2s"},
        "extend": {"times": 2, "max": "3s"}, "plan": {"update": "2s", "community_over": "4s", "street_over": "1h"},
        "top": {"remind": "1s", "doubling_to": "4s", "times": 4}, "shelve": {"review": "2s"},
    }  # fmt: skip
    return read_policy(plain | other)


async def gather(folder: Path, size: int, seed: int) -> Crowd:
    """Lets so many issues live and close, and leaves what an installation would hold of them in the folder."""
    say(f"crowd of {size}, seed {seed}")
    crowd = Crowd(folder)
    crowd.vault.mkdir(0o700)
    await upgrade_async(crowd.database_url)
    async with dev_server(folder, SUGGESTED) as client:
        await _Town(crowd, client, size, seed).live()
    await asyncio.to_thread(_clear, folder)
    return crowd


def _clear(folder: Path) -> None:
    """What an auditor does not get: the server's own database."""
    for file in folder.glob("temporal.db*"):
        file.unlink()


class _Town:
    """Everything that runs while the crowd lives: worker, deliverer, an outage, a restart."""

    def __init__(self, crowd: Crowd, client: Client, size: int, seed: int) -> None:
        self.crowd = crowd
        self.store = KeyStore(crowd.places.key_store or "", patience=PATIENCE)
        vault = Vault(self.store, MasterFile.made(crowd.vault / "master.json"))
        self.keys = replace(ephemeral_keys(), signer=lasting_signer(), vault=vault)
        self.pictures = DigestStore(crowd.places.pictures or "")
        self.uploads: dict[str, dict[str, Any]] = {}
        """The list of pictures, by digest."""
        self.sealed: list[str] = []
        self.client = encrypting(client, self.keys.converter)
        self.size = size
        self.seed = seed
        self.gateway = TemporalGateway(self.client, self.keys.signer)
        self.open: dict[str, Issue] = {}
        self.done = 0
        self.said: Counter[str] = Counter()
        self._rooms = asyncio.Semaphore(SIDE_BY_SIDE)

    async def live(self) -> None:
        """Until every issue is closed and sealed, with a head half-way and one at the end."""
        url, seed = self.crowd.database_url, self.seed
        async with contextlib.AsyncExitStack() as stack:
            database, records = Database(url), Moody(url, f"{seed}-moody")
            stack.push_async_callback(self.store.close)
            await self.store.prepare()
            stack.push_async_callback(database.close)
            stack.push_async_callback(records.close)
            await stack.enter_async_context(self._delivering(database))
            ring = LogKeys.create(self.crowd.keys, "crowd.example/jiesu")
            async with asyncio.TaskGroup() as group:
                for number in range(self.size):
                    group.create_task(self._live(number))
                group.create_task(self._work(records))
                group.create_task(self._seal(database, ring))
            await self._look_back(database)
        say(f"sent: {dict(sorted(self.said.items()))}")

    async def sure(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What is asked for, as soon as key store and Temporal answer: on a busy machine callers ask again."""
        while True:
            try:
                return await ask()
            except (KeyStoreDown, RPCError) as error:
                if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
                    raise
                self.said[f"again after {type(error).__name__}"] += 1
                await asyncio.sleep(0.05)

    async def complete(self, issue: str, body: c.Complete) -> c.Complete:
        """The completion with its picture, which was uploaded as by the API."""
        (told,) = body.pictures
        digest = await self.upload(issue, Actor(told.person, "property", told.org), told.at)
        return replace(body, evidence=(digest,), pictures=(replace(told, digest=digest),))

    async def upload(self, issue: str, actor: Actor, at: datetime) -> str:
        """Stores a picture as the API does before it gives `attach`, and returns its digest. A repeat changes nothing."""
        data = PIXEL + f"{actor.org} {actor.person} {at}".encode()
        key = await self.sure(lambda: self.keys.vault.key_for(issue, make=True))
        digest = await self.pictures.put(key.seal_bytes(data))
        self.uploads[digest] = {
            "issue": issue, "digest": digest, "kind": "image/png", "size": len(data),
            "added_by": str(key.seal(actor.person, digest, "added_by")), "role": actor.role, "org": actor.org,
            "added_at": at,
        }  # fmt: skip
        return digest

    async def _look_back(self, database: Database) -> None:
        """Once all is over: the list of pictures, and a few issues whose texts are erased."""
        await database.transact(lambda session: session.execute(insert(AttachmentRow), [*self.uploads.values()]))
        privacy = Privacy(database, self.keys.vault, StoredPictures(database, self.pictures), Retention(1095), 400)
        await privacy.ask(self.sealed[-ERASED:], REQUEST)
        assert len((await privacy.carry_out()).erased) == ERASED

    @contextlib.asynccontextmanager
    async def _delivering(self, database: Database) -> AsyncIterator[None]:
        jobs = worker.handlers(self.client, database, Archive(self.crowd.archive_url), self.keys)
        stop = asyncio.Event()
        task = asyncio.create_task(Deliverer(database, TableChannel(database), jobs).run(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def _seal(self, database: Database, ring: LogKeys) -> None:
        outlets = Destinations(self.crowd.heads, roots=lambda: [self.keys.signer.root])
        for size in (self.size // 2, self.size):
            while await _sealed(database) < size:
                await asyncio.sleep(0.5)
            await publish(database, ring, outlets, datetime.now(UTC))

    async def _work(self, records: Database) -> None:
        """The worker: the database hangs when a third is over; it is gone for a while, and another comes, at two."""
        size = self.size
        async with worker.build(self.client, records):
            await self._until(size // 3)
            async with away(self.crowd.database_url):
                await asyncio.sleep(AWAY)
            await self._until(size * 2 // 3)
        await asyncio.sleep(IDLE)
        async with worker.build(self.client, records, max_cached_workflows=CACHED_LATER):
            await self._until(size)

    async def _until(self, done: int) -> None:
        while self.done < done:
            await asyncio.sleep(0.1)

    async def _live(self, number: int) -> None:
        async with self._rooms:
            await asyncio.sleep(number / COMING if number < SIDE_BY_SIDE else 0)
            life = _Life(self, number)
            try:
                async with asyncio.timeout(PATIENCE):
                    await life.live()
            except Exception as error:
                error.add_note(f"seed {self.seed}, issue {number}")
                raise
            finally:
                self.open.pop(life.id, None)
                self.done += 1


@dataclass
class _Life:
    """One issue. `shadow` is what the rules make of what was sent, near enough to the truth to know what fits next."""

    town: _Town
    number: int
    id: str = ""
    rng: random.Random = field(init=False)
    shadow: Issue = field(init=False)
    sent: list[tuple[Command, str]] = field(default_factory=list[tuple[Command, str]])
    over: bool = False
    is_played: bool = False

    def __post_init__(self) -> None:
        self.rng = random.Random(f"{self.town.seed}-{self.number}")
        self.id = f"{self.rng.getrandbits(128):032x}"

    async def live(self) -> None:
        rng = self.rng
        is_cast, goes_on = self.number < len(PARTS), 0 <= self.number - len(PARTS) < LONG
        is_long = goes_on or rng.random() < 0.05
        if self.number == len(PARTS) + LONG:
            await self._see_a_warning()
            return
        if self.number == len(PARTS) + LONG + 1:
            await self._report(load_pack("12345"))
            self.is_played = True
            while self._other() is None:
                await self._pause()
            await self._merge(is_split=True)
            await self._end()
            return
        part = PARTS[self.number] if is_cast else rng.choice(PARTS) if rng.random() < 0.1 else ()
        await self._report(load_pack("12345") if is_cast or is_long else None)
        for make in part:
            await self._pause()
            body = make(_now())
            await self._give(self._command(self._may(NAMES[type(body)]), body, is_odd=False))
        self.is_played = True
        self._show()
        for _ in range(MANY if is_long else rng.choice((0, 2, 4, 6, 8))):
            await self._pause()
            await self._step()
            if self.over:
                break
        if goes_on:
            await self._go_on()
        await self._end()

    # What is given

    async def _see_a_warning(self) -> None:
        """Lets a warning fall due long before its limit: a worker that is late gives none for moments past."""
        await self._report(hurried(40, warn_at=0.25))
        await asyncio.sleep(25)
        await self._end()

    async def _report(self, policy: Policy | None) -> None:
        """Reports the issue, under any policy if none is given."""
        rng, at_leisure = self.rng, policy is not None
        if policy is None:
            policy = load_pack(rng.choice(OTHER_PACKS)) if rng.random() < 0.15 else hurried(rng.randint(1, 2))
        kinds: tuple[OperatorKind | None, ...] = ("company",) * 8 + ("society", "community", None)
        kind = "company" if at_leisure else rng.choice(kinds)
        category: Category = rng.choice(CATEGORIES)
        body = c.Report(
            f"JS-{self.number:05}", place(kind), category, "厨房漏水 '\"\\ <b>\u2028 🚰", urgent=rng.random() < 0.2,
            about_operator=not at_leisure and rng.random() < 0.1, location="3幢2单元501",
            contact=c.ContactDetails("张三", "13800000000") if rng.random() < 0.3 else c.ContactDetails(),
            common=rng.random() < 0.7,
        )  # fmt: skip
        if rng.random() < 0.1:
            before = c.Before("solved", "property", Handler("company-a", "company"))
            body = replace(body, follows="an-older-one", news="又漏了", before=before)
        empty, number = Issue.new(self.id, policy, load_all()), self._id()
        body = replace(body, root=self.town.keys.signer.root, pins=pins_digest(policy, empty.calendars, RULES_VERSION))
        if at_leisure or rng.random() < SEALED:
            await self.town.sure(lambda: self.town.keys.vault.key_for(self.id, make=True))
            body = await self.town.keys.vault.seal_body(self.id, number, body)
            self.town.sealed.append(self.id)
        report = Command(number, _now(), REPORTER, body, grants=(Authority("resident", None, "report"),))
        while True:
            self.shadow, _ = advance(empty, [report], report.at)
            try:
                await self.town.gateway.start(Envelope.of(report), self.shadow, Pins(policy, empty.calendars))
            except TemporalDown:  # so the API answers, and whoever reports tries again
                self.town.said["report again"] += 1
                report = replace(report, at=_now())
            else:
                self._show()
                return

    async def _step(self) -> None:
        """One command, or several at once; sometimes something that nobody should send."""
        drawn = self.rng.random()
        if drawn < 0.04:
            await self._poison()
        elif drawn < 0.08 and self.sent:
            await self._again()
        elif drawn < 0.20:
            burst = [self._command(*self._drawn()) for _ in range(self.rng.randint(2, 4))]
            await asyncio.gather(*map(self._give, burst))
        else:
            await self._give(self._command(*self._drawn()))

    def _drawn(self) -> tuple[Actor, Body]:
        rng, now = self.rng, _now()
        drawn, choice = rng.random(), rng.randrange(1 << 16)
        if drawn < 0.4:
            actor, name = usual(self.shadow, choice)
        elif drawn < 0.9:
            actor, name = rightful(self.shadow, choice)
            if name in ENDING and (self.shadow.policy.id == "12345" or rng.random() < 0.8):
                actor, name = usual(self.shadow, choice)
        else:
            actor, name = rng.choice(list(CASTING.values())), rng.choice(sorted(set(BODIES) - set(ENDING)))
        return actor, self._body(name, now)

    def _body(self, name: str, now: datetime) -> Body:
        rng = self.rng
        other = self._other()
        match name:
            case "adopt" if other is not None:
                return adoption(other)
            case "merge" if other is not None:
                return c.Merge(other.id, other.opened_at)
            case "plan" if rng.random() < 0.5:
                dues = [now + timedelta(seconds=seconds) for seconds in (1.5, 3.5, 6)]
                return c.Plan(tuple(c.Step(f"第{n}步", due) for n, due in enumerate(dues[: rng.randint(1, 3)], 1)))
            case "wait" if rng.random() < 0.5:
                return c.Wait("parts", now + timedelta(seconds=rng.randint(1, 3)), "等")
            case "extend" if rng.random() < 0.5:
                return c.Extend("要勘察", Limit(2, "s"))
            case "change_policy" if rng.random() < 0.7:
                return c.ChangePolicy("hurried-1", "快点", hurried(1))
            case _:
                return rng.choice(BODIES[name])(now)

    def _other(self) -> Issue | None:
        """Some other issue that is open, as far as anybody knows."""
        others = [each for each in self.town.open.values() if each.id != self.id and not each.is_closed]
        return self.rng.choice(others) if others else None

    def _command(self, actor: Actor, body: Body, *, is_odd: bool = True) -> Command:
        """Stamped now; if odd, sometimes a little off as clocks are, of another version, or without a grant. The shadow
        takes it at once.
        """
        rng, now = self.rng, _now()
        command = Command(self._id(), now, actor, body, grants=_grants(actor))
        if is_odd:
            at = now + timedelta(milliseconds=rng.choice((0, 0, 0, 0, -400, 300)))
            version = self.shadow.version + rng.choice((0, 0, -1, 7)) if rng.random() < 0.1 else None
            grants = command.grants if rng.random() > 0.02 else ()
            command = replace(command, at=at, expected_version=version, grants=grants)
        self.shadow, _ = advance(self.shadow, [command], now)
        self._show()
        return command

    def _show(self) -> None:
        """Lets others merge into it; not before its part is played, of which such an event might turn the rest away."""
        if self.is_played:
            self.town.open[self.id] = self.shadow

    async def _go_on(self) -> None:
        """Until it is continued as new: on a busy machine many commands at once make few events."""
        handle = self.town.client.get_workflow_handle(PREFIX + self.id)
        first = (await self.town.sure(handle.describe)).raw_description.workflow_execution_info.first_run_id
        until = time.monotonic() + LONGEST
        for number in itertools.count():
            found = await self.town.sure(handle.describe)
            if self.over or found.run_id != first or time.monotonic() > until:
                break
            # It is continued once its history is long enough and all its events are recorded: then it is left alone.
            if found.history_length < SUGGESTED_EVENTS or number % 10 == 0:
                await self._give(self._command(COMMUNITY, c.Comment("还在办")))
            await self._pause()

    async def _end(self) -> None:
        """How it closes: by a word of the resident, by the community, by another issue, or by nobody's word."""
        if not self.over and self.rng.random() < 0.2 and may_give(self.shadow, NEIGHBOUR, "follow"):
            for body in (c.Follow(), c.Urge("我家也是"), c.Unfollow()):
                await self._give(self._command(NEIGHBOUR, body))
        how = self.rng.choice(("confirm", "confirm", "silence", "silence", "withdraw", "reject", "merge"))
        if how in ("confirm", "silence") and not self.over:
            await self._complete()
        if not self.over:
            match how:
                case "confirm":
                    await self._give(self._command(REPORTER, self._body("confirm", _now())))
                case "silence":
                    if self.shadow.status == "completed" and self.shadow.policy.id.startswith("hurried"):
                        await self._closed(6)
                case "reject":
                    await self._reject()
                case "merge":
                    await self._merge()
                case _:
                    pass
        while not self.over and not await self._closed(1):
            for resident in (REPORTER, NEIGHBOUR):  # who follows it decides next
                await self._give(self._command(resident, c.Withdraw("自己修了")))
            self.over = self.over or await self._closed(10)

    async def _reject(self) -> None:
        """Somebody above rejects it; the resident objects, and the street rules on that."""
        await self._give(self._command(self._may("reject"), c.Reject("不在本小区")))
        if self.shadow.completion == "rejected" and not self.over:
            await self._object()

    async def _object(self) -> None:
        await self._give(self._command(REPORTER, c.Object("就在本小区")))
        is_right = self.rng.random() < 0.3
        ruling = c.Grant("objection", "在,请办") if is_right else c.Deny("objection", "地图上在隔壁")
        await self._give(self._command(STREET, ruling))

    async def _complete(self) -> None:
        for name in ("accept", "complete"):
            if self.shadow.status not in ("completed", "closed") and not self.over:
                await self._give(self._command(self._may(name), self._body(name, _now())))

    async def _merge(self, is_split: bool | None = None) -> None:
        """Another one adopts it, and it is told so by the deliverer and as by the API; or it is told without having been
        adopted. Then it is split again, or the resident objects.
        """
        other = self._other()
        if other is None or (is_split is None and self.rng.random() < 0.3):
            await self._give(self._command(self._may("merge"), self._body("merge", _now())))
        else:
            adopt, merge = adoption(self.shadow), c.Merge(other.id, other.opened_at)
            await self._deliver(other.id, Command(self._id(), _now(), STREET, adopt, grants=_grants(STREET)))
            if self.rng.random() < 0.5:
                await self._closed(4)
            told = Command(c.merge_command_id(self.id, other.id), _now(), STREET, merge, grants=_grants(STREET))
            self.shadow, _ = advance(self.shadow, [told], told.at)
            await self._give(told)
        for _ in range(5):  # some are sent without a grant, or are too late
            if self.over or self.shadow.is_closed or self.shadow.merged_into is None:
                return
            if self.rng.random() < 0.3 if is_split is None else is_split:
                await self._give(self._command(STREET, c.Split("不是一件事")))
            else:
                await self._object()

    def _may(self, name: str) -> Actor:
        return next((actor for actor in CASTING.values() if may_give(self.shadow, actor, name)), COMMUNITY)

    # On the wire

    async def _give(self, command: Command) -> None:
        if isinstance(command.body, c.Attach) and command.actor is not None:
            # The picture is stored first, whatever becomes of the command.
            command = replace(command, body=c.Attach(await self.town.upload(self.id, command.actor, command.at)))
        self.sent.append((command, command.name))
        if not await self._deliver(self.id, command):
            self.over = True

    async def _signed(self, issue: str, command: Command) -> Payload:
        """The command as the API sends it."""
        keys, body = self.town.keys, command.body
        if isinstance(body, c.Complete) and body.pictures:
            body = await self.town.complete(issue, body)
        await self.town.sure(lambda: keys.vault.key_for(issue, make=True))
        command = replace(command, body=await keys.vault.seal_body(issue, command.id, body))
        signed = keys.signer.sign(keys.signer.root, issue, command.name, plain_of(command))
        (payload,) = await self.town.client.data_converter.encode([signed])
        return payload

    async def _deliver(self, issue: str, command: Command) -> bool:
        """Whether the issue still takes commands; one that is late is stamped anew, as the API does."""
        self.town.said[command.name] += 1
        while True:
            try:
                signed = await self._signed(issue, command)
                if _now() - command.at > LATE:  # its picture took long
                    command = replace(command, at=_now())
                    continue
                await self._throw(issue, command.name, [signed], command.id, timedelta(seconds=0.9))
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    return False
                self.town.said[f"again after {error.status.name} {error.message}"] += 1
                await asyncio.sleep(0.05)
                command = replace(command, at=_now())
            else:
                return True

    async def _poison(self) -> None:
        name, data = self.rng.choice(POISON)
        payloads = [Payload(metadata={"encoding": b"json/plain"}, data=each) for each in data]
        with contextlib.suppress(RPCError):
            await self._throw(self.id, name, payloads, self._id(), timedelta(seconds=5))

    async def _again(self) -> None:
        """A command that was given before: by the same request, by another, or with another body under its id."""
        command, name = self.rng.choice(self.sent)
        request = self.rng.choice((command.id, self._id()))
        if self.rng.random() < 0.3:
            command, name = replace(command, body=c.Comment("别的")), "comment"
        command = replace(command, at=_now())
        with contextlib.suppress(RPCError):
            signed = await self._signed(self.id, command)
            await self._throw(self.id, name, [signed], request, timedelta(seconds=5))

    async def _throw(
        self, issue: str, name: str, payloads: Sequence[Payload], request: str, timeout: timedelta
    ) -> None:
        client = self.town.client
        signal = SignalWorkflowExecutionRequest(
            namespace=client.namespace, workflow_execution=WorkflowExecution(workflow_id=PREFIX + issue),
            signal_name=name, input=Payloads(payloads=payloads), identity=client.identity, request_id=request,
        )  # fmt: skip
        await client.workflow_service.signal_workflow_execution(signal, timeout=timeout)

    async def _closed(self, seconds: float) -> bool:
        """Whether it has closed within the time."""
        handle = self.town.client.get_workflow_handle(PREFIX + self.id)
        try:
            async with asyncio.timeout(seconds):
                await handle.result()
        except TimeoutError:
            return False
        return True

    async def _pause(self) -> None:
        """Mostly a moment; sometimes long enough for the clock to act."""
        drawn = self.rng.random()
        await asyncio.sleep(self.rng.uniform(2, 5) if drawn < 0.15 else self.rng.uniform(0.05, 0.6))

    def _id(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))


async def _sealed(database: Database) -> int:
    async with database.read() as session:
        return await session.run_sync(log.size)


def _grants(actor: Actor) -> tuple[Authority, ...]:
    """What everybody here holds, for as long as the crowd lives."""
    return (Authority(actor.role, actor.org, compound=place().compound if actor.role == "property" else None),)


def _now() -> datetime:
    return truncate(datetime.now(UTC))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(gather(Path(sys.argv[1]), int((*sys.argv, "100")[2]), int((*sys.argv, "", "1")[3] or 1)))
