"""Checks what a history only names: that its sealed texts open or were erased, and that the pictures it cites are there.

The key store and the store of pictures lie beside the database, so whoever alters them touches no history.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import select

from audit.case import Finding, Verdict
from audit.refold import Refolded
from audit.search_check import check_words
from audit.times import SKEW
from db import attachments
from db.engine import Database
from db.tables import AttachmentRow, ErasureRow, IssueRow, SealRow
from domain.commands import Complete, Upload
from domain.events import Event
from domain.personal import Personal, Sealed, change_personal
from runtime.blobs import BlobError, DigestStore
from runtime.schema import strange_objects
from runtime.settings import Settings, SettingsError
from security.keystore import KeyRow, KeyStore, KeyStoreDown
from security.master import Kms, MasterDown, MasterError, MasterFile
from security.opening import open_key_store, open_masters
from security.vault import IssueKey, UnsealError

NOTED: Final = timedelta(hours=26)
"""A key that was destroyed this long ago without its erasure being noted as done is a finding: what was interrupted is
done again each day.
"""
ADDED_BY: Final = "added_by"
"""What the API names when it seals the person who uploaded a picture (`protocol.attachments`)."""
ATTACHED: Final = "attached"
"""The kind of event that tells of the upload of a picture, by its `digest`."""
_STARTS: Final[Mapping[str, bytes]] = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n"}
_PAGE: Final = 500
_SHOWN: Final = 12
"""How many characters of a digest are shown."""


@dataclass(frozen=True)
class Places:
    """Where the keys and pictures of issues are: the URLs of the store of pictures and of the key store, and the file of
    master keys. None stands for what an auditor does not have.
    """

    pictures: str | None = None
    key_store: str | None = None
    masters: Path | None = None

    @asynccontextmanager
    async def open(self, database: Database, *, rows: bool = True) -> "AsyncGenerator[Contents]":
        """Opens them until the context ends. `rows`: whether the list of pictures in SQL is compared, too."""
        keys = None
        if self.key_store is not None and self.masters is not None:
            keys = KeyStore(self.key_store), MasterFile(self.masters)
        pictures = None if self.pictures is None else DigestStore(self.pictures)
        try:
            yield Contents(database, keys, pictures, rows=rows)
        finally:
            if keys is not None:
                await keys[0].close()


NOWHERE: Final = Places()


def places_of(settings: Settings) -> tuple[Places, str]:
    """Where keys and pictures are by these settings, and why the keys are not at hand ("" if they are)."""
    pictures = settings.attachments_url
    try:
        open_masters(settings)
        open_key_store(settings)
    except SettingsError as error:
        # Elsewhere than on a host of the installation a folder would be made, and all pictures said to be missing.
        is_there = settings.attachments is not None or (settings.home / "attachments").is_dir()
        return Places(pictures if is_there else None), str(error)
    return Places(pictures, settings.key_store_url, settings.master_keys_file), ""


@dataclass(frozen=True)
class Held:
    """What is on record of the key of an issue. `row` is that of the key store, and `key` the key itself; `asked` says
    whether the key store answered. `erasure` is SQL's.
    """

    erasure: ErasureRow | None
    asked: bool = False
    row: KeyRow | None = None
    key: IssueKey | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def is_erased(self) -> bool:
        if self.asked:
            return self.row is not None and self.row.wrapped is None
        return self.erasure is not None and self.erasure.done_at is not None


class Contents:
    """Keys and pictures of an installation as an auditor looks at them: `keys` or `pictures` are None if he has none."""

    def __init__(
        self, database: Database, keys: tuple[KeyStore, Kms] | None, pictures: DigestStore | None, *, rows: bool = True
    ) -> None:
        self._database = database
        self._keys = keys
        self._pictures = pictures
        self._rows = rows

    async def look(self, folded: Refolded, verdict: Verdict) -> Verdict:
        """The verdict, with what was found of the texts and pictures of this closed issue. Raises SQLAlchemyError."""
        issue, texts, pictures = folded.issue, list(sealed_texts(folded)), cited(folded)
        held = await self._held(issue)
        found = [*held.findings, *check_uploads(folded)]
        if held.asked:
            found += check_erasure(issue, held.row, held.erasure, has_content=bool(texts or pictures))
        if held.key is not None:
            found += check_texts(issue, held.key, texts)
        verdict = replace(
            verdict, opened=len(texts) if held.key else 0, unopened=0 if held.asked else len(texts)
        )  # fmt: skip
        if self._rows:
            async with self._database.read() as session:
                words = check_words(session, folded, held.key, is_erased=held.is_erased)
                found += [each async for each in words]
        if not held.is_erased:
            if self._rows:
                found += [each async for each in self._check_list(folded, pictures, held.key)]
            if self._pictures is None:
                verdict = replace(verdict, unseen=len(pictures))
            else:
                for digest in pictures:
                    found += [each async for each in self._check_picture(self._pictures, issue, digest, held.key)]
                verdict = replace(verdict, pictures=len(pictures))
        return replace(verdict, findings=(*verdict.findings, *found))

    async def _held(self, issue: str) -> Held:
        async with self._database.read() as session:
            erasure = await session.get(ErasureRow, issue)
        if self._keys is None:
            return Held(erasure)
        store, masters = self._keys
        row = None
        try:
            row = await store.get(issue)
            if row is None or row.wrapped is None:
                return Held(erasure, asked=True, row=row)
            return Held(erasure, True, row, IssueKey(issue, await masters.unwrap(row.wrapped, issue.encode())))
        except (KeyStoreDown, MasterDown):
            return Held(erasure)
        except (MasterError, ValueError) as error:
            found = Finding("texts", issue, "key", f"it cannot be used: {error}")
            return Held(erasure, asked=True, row=row, findings=(found,))

    async def _check_list(
        self, folded: Refolded, pictures: Mapping[str, Upload | None], key: IssueKey | None
    ) -> AsyncIterator[Finding]:
        """Compares SQL's list of the issue's pictures with what its history says of them.

        A picture of which it says nothing may be an upload that broke off before `attach` was given: the API stores it
        first. Such a row holds only if it is whole, which takes the issue's key.
        """
        issue = folded.issue
        async with self._database.read() as session:
            rows = {row.digest: row for row in await attachments.of_issue(session, issue)}
        for digest, upload in pictures.items():
            row = rows.pop(digest, None)
            if row is None:
                yield Finding("rows", issue, _named(digest), "the list of pictures does not have it")
            elif (upload is not None and not _is_of(row, upload, key)) or not _is_told(row, folded.events, key):
                yield Finding("rows", issue, _named(digest), "the list of pictures has another person or time")
        for digest, row in rows.items():
            if key is not None and _added_by(row, key) is None:
                yield Finding(
                    "rows", issue, _named(digest), "no event tells of its upload, and its row is none of ours"
                )
            elif self._pictures is not None:
                async for each in self._check_picture(self._pictures, issue, digest, key):
                    yield each

    async def _check_picture(
        self, store: DigestStore, issue: str, digest: str, key: IssueKey | None
    ) -> AsyncIterator[Finding]:
        """Compares the bytes of a picture with its digest, with the issue's key, and with what SQL says of them."""
        where = _named(digest)
        try:
            data = await store.get(digest)
            if key is None:
                return
            data = key.open_bytes(data)
        except BlobError as error:
            yield Finding("pictures", issue, where, str(error))
            return
        except UnsealError:
            yield Finding("pictures", issue, where, "it was not sealed with the issue's key")
            return
        async with self._database.read() as session:
            row = await attachments.find(session, issue, digest) if self._rows else None
        if row is not None and not (row.size == len(data) and data.startswith(_STARTS.get(row.kind, b"\0none"))):
            yield Finding("rows", issue, where, "the list of pictures has another kind or size")

    async def check_stores(self) -> AsyncIterator[Finding]:
        """Checks what `look` does not reach, since it is of no sealed issue: erasures that are noted as done, destroyed
        keys, and what somebody else put into the databases. Raises SQLAlchemyError.
        """
        for name in await self._strange_objects():
            yield Finding("rows", None, name, "somebody else put it there")
        sealed, closed = select(SealRow.issue), select(IssueRow.id).where(IssueRow.closed_at.is_not(None))
        done = select(ErasureRow.issue).where(ErasureRow.done_at.is_not(None))
        done = done.where(ErasureRow.issue.not_in(sealed), ErasureRow.issue.not_in(closed))
        async with self._database.read() as session:
            for issue in await session.scalars(done.order_by(ErasureRow.issue)):
                yield Finding("texts", issue, "erasure", "it is noted as done, and no issue of this name was closed")
        after = ""
        while page := await self._destroyed(after):
            after = page[-1]
            async with self._database.read() as session:
                asked = set(await session.scalars(select(ErasureRow.issue).where(ErasureRow.issue.in_(page))))
                looked = set(await session.scalars(sealed.where(SealRow.issue.in_(page))))
            for issue in page:
                if issue not in asked and issue not in looked:
                    yield Finding("texts", issue, "erasure", UNASKED)

    async def _strange_objects(self) -> list[str]:
        async with self._database.read() as session:
            found = await session.run_sync(lambda each: strange_objects(each.connection()))
        with contextlib.suppress(KeyStoreDown):
            found += [] if self._keys is None else [f"key store, {n}" for n in await self._keys[0].strange_objects()]
        return found

    async def _destroyed(self, after: str) -> list[str]:
        """The next issues whose keys were destroyed; none if the key store is not at hand."""
        try:
            return [] if self._keys is None else [each.issue for each in await self._keys[0].tombstones(after, _PAGE)]
        except KeyStoreDown:
            return []


UNASKED: Final = "the key was destroyed, and no erasure is on record"


async def looked(contents: Contents, folded: Refolded, verdict: Verdict) -> Verdict:
    """As `Contents.look`; what SQL or the key store hold and nobody can read is a finding."""
    try:
        return await contents.look(folded, verdict)
    except ValueError as error:
        found = Finding("texts", folded.issue, "data", f"it cannot be read: {str(error)[:200]}")
        return unlooked(folded, replace(verdict, findings=(*verdict.findings, found)))


def unlooked(folded: Refolded, verdict: Verdict) -> Verdict:
    """The verdict of an auditor who has neither keys nor pictures."""
    return replace(verdict, unopened=sum(1 for _ in sealed_texts(folded)), unseen=len(cited(folded)))


def sealed_texts(folded: Refolded) -> Iterator[tuple[str, Sealed]]:
    """Each sealed text that the history holds, with its place. Events hold no others."""
    for taken in folded.commands:
        found: list[tuple[str, Sealed]] = []

        def note(path: str, text: Personal, found: list[tuple[str, Sealed]] = found) -> Personal:
            if isinstance(text, Sealed):
                found.append((path, text))
            return text

        change_personal(taken.command.body, note)
        yield from ((f"run {taken.run}, event {taken.event_id}, {path}", text) for path, text in found)


def cited(folded: Refolded) -> dict[str, Upload | None]:
    """The digests of the pictures that a history names, each with what its signed command says of the upload."""
    found: dict[str, Upload | None] = dict.fromkeys(attached(folded.events))
    for taken in folded.commands:
        if isinstance(taken.command.body, Complete):
            found |= {each.digest: each for each in taken.command.body.pictures}
    return found


def check_uploads(folded: Refolded) -> Iterator[Finding]:
    """Checks that completions say of the upload of their pictures what its event says, if one by that person tells of it.

    A completion takes from SQL who uploaded a picture and when, so whoever alters that row first has it signed.
    """
    for digest, upload in cited(folded).items():
        if upload is None:
            continue
        told = [event for event in folded.events if digest in attached([event])]
        own = [(event.actor.org, event.at) for event in told if event.actor and event.actor.person == upload.person]
        if own and not any(upload.org == org and upload.at <= at + 2 * SKEW for org, at in own):
            what = "a completion says another organisation or time of its upload than its event"
            yield Finding("pictures", folded.issue, _named(digest), what)


def attached(events: Iterable[Event]) -> Iterator[str]:
    """The digests of the pictures of whose upload these events tell."""
    for event in events:
        digest: object = getattr(event.body, "digest", None)
        if event.kind == ATTACHED and isinstance(digest, str):
            yield digest


def check_texts(issue: str, key: IssueKey, texts: Sequence[tuple[str, Sealed]]) -> Iterator[Finding]:
    """Checks that all these texts open with the issue's key. There is one finding, at the first that does not."""
    wrong = [where for where, text in texts if not _opens(key, text)]
    if wrong:
        what = f"{len(wrong)} of {len(texts)} texts do not open with the issue's key"
        yield Finding("texts", issue, wrong[0], what)


def check_erasure(
    issue: str, row: KeyRow | None, erasure: ErasureRow | None, *, has_content: bool, now: datetime | None = None
) -> Iterator[Finding]:
    """Checks that the key store and SQL agree on whether, when and why the texts of the issue were erased.

    A key is destroyed after somebody asked for that, and noted as destroyed afterwards.
    """
    done = None if erasure is None else erasure.done_at
    if row is None or row.destroyed_at is None:
        if done is not None:
            yield Finding("texts", issue, "erasure", "it is noted as done, and the key store knows of none")
        elif row is None and has_content:
            yield Finding("texts", issue, "key", "it is gone, and was not destroyed by an erasure")
        return
    if erasure is None:
        yield Finding("texts", issue, "erasure", UNASKED)
    elif erasure.why != row.why:
        yield Finding(
            "texts", issue, "erasure", f"it was for {row.why!r:.60} in the key store, {erasure.why!r:.60} in SQL"
        )
    elif not erasure.asked_at <= row.destroyed_at <= (done or row.destroyed_at):
        yield Finding("texts", issue, "erasure", "it was asked for after it was done, or noted before")
    elif done is None and row.destroyed_at < (now or datetime.now(UTC)) - NOTED:
        yield Finding("texts", issue, "erasure", "the key was destroyed, and the erasure is not noted as done")


def _is_of(row: AttachmentRow, upload: Upload, key: IssueKey | None) -> bool:
    """Whether the row of a picture says the same of its upload; the person can be read only with the key."""
    if (row.org, row.added_at) != (upload.org, upload.at):
        return False
    return key is None or _added_by(row, key) == upload.person


def _added_by(row: AttachmentRow, key: IssueKey) -> str | None:
    """The person who uploaded the picture; None for a text that was not sealed for this picture by the API."""
    try:
        person = key.open(Sealed.parse(row.added_by))
    except ValueError:  # UnsealError too
        return None
    return person if str(key.seal(person, row.digest, ADDED_BY)) == row.added_by else None


def _is_told(row: AttachmentRow, events: Iterable[Event], key: IssueKey | None) -> bool:
    """Whether the row agrees with the events that tell of the upload, if any is by the row's person; read by the key.

    Whoever uploads a picture that is there adds an event and no row, so the row's own event may be missing.
    """
    told = [event for event in events if row.digest in attached([event]) and event.actor is not None]
    if key is None or not told:
        return True
    person = _added_by(row, key)
    own = [event for event in told if event.actor is not None and event.actor.person == person]
    return person is not None and (not own or any(_tells(event, row) for event in own))


def _tells(event: Event, row: AttachmentRow) -> bool:
    """Whether the row has the event's role and organisation, and is not younger than the event. It may be older, if the
    command was given again.
    """
    actor = event.actor
    of_actor = actor is not None and (actor.role, actor.org) == (row.role, row.org)
    return of_actor and row.added_at <= event.at + 2 * SKEW


def _opens(key: IssueKey, text: Sealed) -> bool:
    try:
        key.open(text)
    except UnsealError:
        return False
    return True


def _named(digest: str) -> str:
    return f"picture {digest[:_SHOWN]}"
