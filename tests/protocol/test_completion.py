"""A completion on its way to the issue: what the protocol finds out before it seals the texts."""

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

from db.engine import Database
from db.upgrade import upgrade_async
from domain.commands import Accept, Actor, Arrive, Body, Command, Complete
from domain.personal import Sealed
from policies.loader import load_pack
from protocol.attachments import Attachments
from protocol.commands import Applied, CommandDraft, CommandService
from protocol.directory_cache import DirectoryCache
from protocol.errors import Refused, Unavailable
from protocol.gateway import TemporalGateway
from protocol.read_model import ReadModel
from protocol.reader import Reader
from protocol.receipts import Receipts
from protocol.time_budget import TimeBudget
from runtime.blobs import DigestStore
from support.completions import ANSWER
from support.keys import ephemeral_keys
from support.stories import COMMUNITY, PROPERTY, RESIDENT, Story, store
from tests.protocol.test_commands import Clock, Workflows, caller_of, prepared, service


@dataclass
class Here:
    """One issue of pack 52022, which the company has accepted and been on site for."""

    service: CommandService
    workflows: Workflows
    attachments: Attachments
    reader: Reader
    file: Path
    issue: str = ""
    given: int = 0

    async def reported(self, category: Any = "leak") -> None:
        story = Story(policy=load_pack("52022"), category=category)
        self.issue = story.id
        self.workflows.stories[story.id] = story
        await store(self.workflows.database, story, story.reported())
        for body in (Accept(), Arrive("minor")):
            await self.give(body)

    async def give(self, body: Body, actor: Actor = PROPERTY, key: str | None = None) -> Applied:
        self.given += 1
        draft = CommandDraft(body, key or f"k{self.given}")
        done = await self.service.give(caller_of(actor), self.issue, draft)
        assert isinstance(done, Applied)
        return done

    async def upload(self, actor: Actor = PROPERTY, shade: int = 0) -> str:
        picture = io.BytesIO()
        Image.new("RGB", (8, 8), (shade, 0, 200)).save(picture, "PNG")
        admitted = await self.reader.visible(caller_of(actor), self.issue, TimeBudget())
        return await self.attachments.add(admitted, picture.getvalue())

    async def lose_sql(self) -> None:
        await self.workflows.database.disconnect()
        for path in self.file.parent.glob("jiesu.db*"):
            path.unlink()
        self.file.mkdir()
        self.workflows.stores = False

    @property
    def sent(self) -> Command:
        return self.workflows.sent[-1][1]


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    file = tmp_path / "jiesu.db"
    await upgrade_async(f"sqlite:///{file}")
    database = Database(f"sqlite:///{file}")
    await prepared(database)
    workflows, vault, model, now = Workflows(database), ephemeral_keys().vault, ReadModel(database, timeout=60), Clock()
    receipts = Receipts(model)
    reader = Reader(model, cast("TemporalGateway", workflows), vault, DirectoryCache(model), now)
    found = Here(
        service(database, workflows, vault, receipts), workflows,
        Attachments(blobs=DigestStore((tmp_path / "blobs").as_uri()), vault=vault, database=database, model=model, now=now),
        reader, file,
    )  # fmt: skip
    await found.reported()
    yield found
    await receipts.close()
    await database.close()


async def test_an_uploaded_picture_completes_the_work_by_its_digest(here: Here) -> None:
    digest = await here.upload()
    done = await here.give(Complete(answer=ANSWER, evidence=("photo-1", digest)))
    assert done.issue.status == "completed"
    body = cast("Complete", here.sent.body)
    assert all(isinstance(text, Sealed) for text in (body.answer, *body.evidence))
    assert body.answers
    assert [(each.digest, each.person, each.org) for each in body.pictures] == [(digest, PROPERTY.person, PROPERTY.org)]


async def test_what_was_not_uploaded_to_this_issue_is_no_picture(here: Here) -> None:
    elsewhere = await here.upload()
    await here.reported()
    for evidence in ((), ("photo-1",), (elsewhere,), ("0" * 64,)):
        with pytest.raises(Refused, match="a picture that demo-property uploads to this issue") as refused:
            await here.give(Complete(answer=ANSWER, evidence=evidence))
        assert refused.value.code == "picture-missing"
    assert here.sent.name == "arrive"


@pytest.mark.parametrize("other", [RESIDENT, COMMUNITY])
async def test_a_picture_that_somebody_else_uploaded_completes_nothing(here: Here, other: Actor) -> None:
    digest = await here.upload(other)
    with pytest.raises(Refused, match="a picture that demo-property uploads"):
        await here.give(Complete(answer=ANSWER, evidence=(digest,)))


async def test_an_answer_is_counted_before_it_is_sealed(here: Here) -> None:
    digest = await here.upload()
    with pytest.raises(Refused, match="at least 10 characters") as refused:
        await here.give(Complete(answer=" 换了一个阀门了吧 ", evidence=(digest,)))
    assert refused.value.code == "answer-short"


async def test_without_the_database_only_work_that_needs_no_picture_is_completed(here: Here) -> None:
    leak, digest = here.issue, await here.upload()
    await here.reported("noise")
    noise = here.issue
    await here.lose_sql()
    here.issue = leak
    with pytest.raises(Unavailable, match="pictures cannot be looked up"):
        await here.give(Complete(answer=ANSWER, evidence=(digest,)))
    assert here.sent.name == "arrive"
    done = await here.give(Complete("explained", ANSWER, (digest,)))
    assert done.issue.status == "completed"
    here.issue = noise
    assert (await here.give(Complete(answer=ANSWER, evidence=("photo-1",)))).issue.status == "completed"


async def test_a_repeat_is_answered_although_pictures_cannot_be_looked_up(here: Here) -> None:
    digest = await here.upload()
    done = await here.give(Complete(answer=ANSWER, evidence=(digest,)), key="k")
    await here.lose_sql()
    again = await here.give(Complete(answer=ANSWER, evidence=(digest,)), key="k")
    assert again.command_id == done.command_id
