"""Pictures of an issue: who may add and see them, how they are stored, and their limits."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from PIL import Image
from sqlalchemy import select

from db.tables import AttachmentRow
from domain.limits import MOST_PICTURES
from protocol.attachments import AT_ONCE
from protocol.pictures import MOST_BYTES, Picture, clean
from runtime.blobs import BlobError, DigestStore
from support.again import something_is_away
from support.completions import ANSWER
from support.system import System

JPEG = {"Content-Type": "image/jpeg"}


def photo(shade: int = 0, size: tuple[int, int] = (32, 24)) -> bytes:
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (31.0, 13.0, 49.0), 29: "canary-where"}
    target = io.BytesIO()
    Image.new("RGB", size, (shade, 0, 200)).save(target, "JPEG", exif=exif)
    return target.getvalue()


async def attach(system: System, issue: str, who: dict[str, str], data: Any, **headers: str) -> httpx.Response:
    sent = {**JPEG, **who, **headers}
    return await system.client.post(f"/v1/issues/{issue}/attachments", content=data, headers=sent)


async def reported(system: System) -> tuple[str, dict[str, str]]:
    taken = await system.report()
    assert taken.status == 201, taken.body
    return taken["id"], {"X-Tracking-Code": taken["tracking_code"]}


def objects(system: System) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (system.home / "attachments").rglob("*") if path.is_file()}


async def test_a_picture_is_added_listed_and_seen(system: System):
    issue, resident = await reported(system)
    added = await attach(system, issue, resident, photo())
    assert added.status_code == 201, added.text
    digest = added.json()["attachment"]
    assert added.headers["location"] == f"/v1/issues/{issue}/attachments/{digest}"
    (item,) = (await system.get(f"/v1/issues/{issue}/attachments", system.staff))["items"]
    assert (item["attachment"], item["kind"], item["actor"]["role"]) == (digest, "image/jpeg", "resident")
    seen = await system.client.get(added.headers["location"], headers=system.staff)
    assert (seen.status_code, seen.headers["content-type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(seen.content)).size == (32, 24)
    assert b"canary" not in seen.content
    assert len(seen.content) == item["size"]
    assert seen.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert seen.headers["x-content-type-options"] == "nosniff"
    assert seen.headers["content-disposition"] == f'inline; filename="{digest[:16]}.jpg"'
    done = await system.give(issue, "comment", system.staff, text=f"照片 {digest[:8]}")
    assert done["outcome"] == "applied"


async def test_work_is_completed_with_the_name_of_an_uploaded_picture_and_taken_back(system: System):
    """Compound `jinpen` is under pack 12345, which asks for a picture of a leak."""
    taken = await system.report(compound="jinpen")
    issue, staff = taken["id"], system.token("p1", "property", "jinpen-property")
    early = (await attach(system, issue, staff, photo(1))).json()["attachment"]
    await system.give(issue, "accept", staff)
    for evidence in ([], ["photo-1"], [early]):
        refused = await system.give(issue, "complete", staff, answer=ANSWER, evidence=evidence)
        assert (refused.status, refused["code"]) == (409, "picture-missing")
        assert "a picture that jinpen-property uploads to this issue after it accepted" in refused["reason"]
    digest = (await attach(system, issue, staff, photo(2))).json()["attachment"]
    short = await system.give(issue, "complete", staff, answer="换了阀门", evidence=[digest])
    assert (short.status, short["code"]) == (409, "answer-short")
    assert "at least 10 characters" in short["reason"]
    done = await system.give(issue, "complete", staff, answer=ANSWER, evidence=[digest])
    assert (done.status, done["issue"]["status"]) == (200, "completed")
    other = await system.give(issue, "reopen", system.token("c1", "community", "jinpen-community"), reason="没修好")
    assert (other.status, other["code"]) == (409, "completed-elsewhere")
    back = await system.give(issue, "reopen", staff, reason="还有一处在漏")
    assert (back.status, back["issue"]["status"]) == (200, "accepted")
    timeline = await system.get(f"/v1/issues/{issue}/timeline", staff)
    assert [event["kind"] for event in timeline["events"]][-2:] == ["completed", "taken_back"]
    assert timeline["events"][-2]["data"]["evidence"] == [digest]
    assert {part["holder"] for part in timeline["minutes"]} == {"operator"}


async def test_the_same_picture_has_the_same_name_and_counts_once(system: System):
    issue, resident = await reported(system)
    twice = [(await attach(system, issue, who, photo(3))).json() for who in (resident, system.staff)]
    assert twice[0] == twice[1]
    assert len((await system.get(f"/v1/issues/{issue}/attachments", resident))["items"]) == 1
    other, _ = await reported(system)
    assert (await attach(system, other, system.staff, photo(3))).json() != twice[0]


async def test_the_blob_store_holds_pictures_encrypted(system: System):
    issue, resident = await reported(system)
    digest = (await attach(system, issue, resident, photo(7))).json()["attachment"]
    lies = objects(system)[digest]
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(io.BytesIO(lies))
    seen = await system.client.get(f"/v1/issues/{issue}/attachments/{digest}", headers=resident)
    assert seen.content not in lies
    async with system.database.read() as session:
        row = await session.scalar(select(AttachmentRow).where(AttachmentRow.digest == digest))
    assert row is not None
    assert row.added_by.startswith("sealed:")


async def test_who_does_not_see_the_issue_sees_no_picture(system: System):
    issue, resident = await reported(system)
    digest = (await attach(system, issue, resident, photo())).json()["attachment"]
    other, stranger = await reported(system)
    for who in (stranger, system.token("p9", "property", "hj-property"), system.token("r9", "resident")):
        for path in ("", f"/{digest}"):
            assert (await system.get(f"/v1/issues/{issue}/attachments{path}", who)).status in (401, 404)
        assert (await attach(system, issue, who, photo())).status_code in (401, 404)
    assert (await system.get(f"/v1/issues/{issue}/attachments")).status == 401
    assert (await system.get(f"/v1/issues/{other}/attachments/{digest}", system.staff)).status == 404
    assert (await system.get(f"/v1/issues/{issue}/attachments/{'0' * 64}", system.staff)).status == 404
    assert (await system.get(f"/v1/issues/{issue}/attachments/..%2f..", system.staff)).status == 404


async def test_an_auditor_proves_and_neither_writes_nor_looks(system: System):
    issue, resident = await reported(system)
    digest = (await attach(system, issue, resident, photo())).json()["attachment"]
    auditor = system.token("a1", "auditor", "demo-street")
    assert (await attach(system, issue, auditor, photo(1))).status_code == 403
    (item,) = (await system.get(f"/v1/issues/{issue}/attachments", auditor))["items"]
    assert item["actor"] == {"person": "***", "role": "resident", "org": None}
    assert (await system.get(f"/v1/issues/{issue}/attachments/{digest}", auditor)).status == 404
    admin = await attach(system, issue, system.token("d1", "admin", "demo-street"), photo(1))
    assert (admin.status_code, admin.json()["code"]) == (409, "not-yours")


async def test_a_closed_issue_refuses_pictures_with_code_closed_for_every_role(system: System):
    issue, resident = await reported(system)
    await system.give(issue, "withdraw", resident)
    for who in (resident, system.staff, system.token("d1", "admin", "demo-street")):
        answer = await attach(system, issue, who, photo(1))
        assert (answer.status_code, answer.json()["code"]) == (409, "closed")


@pytest.mark.parametrize(
    ("data", "field"),
    [(b"", "body"), (b"no picture", "body"), (b"GIF89a" + b"\0" * 100, "body"), (photo()[:200], "body")],
)
async def test_what_is_no_picture_is_invalid(system: System, data: bytes, field: str):
    issue, resident = await reported(system)
    answer = await attach(system, issue, resident, data)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize(
    "declared", ["application/octet-stream", "image/jpg", "image/png", "IMAGE/*; q=1", "image/heic", None]
)
async def test_the_bytes_say_what_a_picture_is(system: System, declared: str | None):
    """WeChat declares `application/octet-stream`, `image/jpg` or nothing."""
    issue, resident = await reported(system)
    path = f"/v1/issues/{issue}/attachments"
    sent = resident | ({"Content-Type": declared} if declared is not None else {})
    answer = await system.client.post(path, content=photo(), headers=sent)
    assert answer.status_code == 201, answer.text
    (item,) = (await system.get(path, resident))["items"]
    assert item["kind"] == "image/jpeg"


async def test_only_pictures_are_taken(system: System):
    issue, resident = await reported(system)
    for kind in ("application/json", "text/html", "multipart/form-data; boundary=x"):
        answer = await attach(system, issue, resident, photo(), **{"Content-Type": kind})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Content-Type")
    drawing = await attach(system, issue, resident, b"<svg/>", **{"Content-Type": "image/svg+xml"})
    assert (drawing.status_code, drawing.json()["errors"][0]["field"]) == (422, "body")
    packed = await attach(system, issue, resident, photo(), **{"Content-Encoding": "gzip"})
    assert (packed.status_code, packed.json()["errors"][0]["field"]) == (422, "Content-Encoding")


async def test_what_is_too_large_is_turned_away(system: System):
    issue, resident = await reported(system)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"\xff" * 100_000

    for data in (b"\xff" * (MOST_BYTES + 1), chunks()):
        answer = await attach(system, issue, resident, data)
        assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
    # Nothing else takes more than before.
    assert (await system.client.post("/v1/issues", content=b"\xff" * 70_000, headers=JPEG)).status_code == 413
    larger = await attach(system, issue, resident, photo(size=(3000, 2000)) + b"\0" * 100_000)
    assert larger.status_code == 201


async def test_an_issue_holds_so_many_and_no_more(system: System):
    issue, resident = await reported(system)
    answers = await asyncio.gather(
        *(attach(system, issue, resident, photo(shade)) for shade in range(0, (MOST_PICTURES + 4) * 4, 4))
    )
    codes = [answer.status_code for answer in answers]
    assert (codes.count(201), codes.count(409)) == (MOST_PICTURES, 4)
    full = next(answer for answer in answers if answer.status_code == 409)
    assert full.json()["code"] == "pictures-full"
    assert len((await system.get(f"/v1/issues/{issue}/attachments", resident))["items"]) == MOST_PICTURES
    async with system.database.read() as session:
        known = set(await session.scalars(select(AttachmentRow.digest)))
    assert set(objects(system)) <= known
    first = next(answer for answer in answers if answer.status_code == 201)
    shade = answers.index(first) * 4
    assert (await attach(system, issue, resident, photo(shade))).status_code == 201


async def test_picture_uploads_are_rate_limited(system: System):
    issue, resident = await reported(system)
    async with system.api_on(system.temporal, rates={"upload": "2/hour"}) as client:
        path = f"/v1/issues/{issue}/attachments"
        answers = [await client.post(path, content=photo(n), headers={**JPEG, **resident}) for n in range(3)]
        assert [answer.status_code for answer in answers] == [201, 201, 429]
        other, neighbour = await reported(system)
        path = f"/v1/issues/{other}/attachments"
        assert (await client.post(path, content=photo(), headers={**JPEG, **neighbour})).status_code == 201


async def test_a_picture_does_not_wait_for_ever_for_its_turn(system: System, monkeypatch: pytest.MonkeyPatch):
    issue, resident = await reported(system)
    go, begun = threading.Event(), asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()

    def slow(data: bytes) -> Picture:
        loop.call_soon_threadsafe(begun.release)
        go.wait()
        return clean(data)

    monkeypatch.setattr("protocol.attachments.clean", slow)
    monkeypatch.setattr("protocol.attachments.TURN", 0.05)
    decoding = [asyncio.create_task(attach(system, issue, resident, photo(shade))) for shade in range(AT_ONCE)]
    try:
        async with asyncio.timeout(90):
            for _ in decoding:
                await begun.acquire()
            with something_is_away():
                answer = await attach(system, issue, resident, photo(99))
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    finally:
        go.set()
    assert [answer.status_code for answer in await asyncio.gather(*decoding)] == [201] * AT_ONCE
    assert (await attach(system, issue, resident, photo(99))).status_code == 201


async def test_that_a_picture_was_added_is_on_record_once_for_each_who_adds_it(system: System):
    issue, resident = await reported(system)
    data = photo()
    (digest, *others) = [(await attach(system, issue, who, data)).json()["attachment"] for who in (resident, resident)]
    assert others == [digest]
    added = await attach(system, issue, system.staff, data)
    assert added.json()["attachment"] == digest
    timeline = await system.get(f"/v1/issues/{issue}/timeline", system.staff)
    events = [event for event in timeline["events"] if event["kind"] == "attached"]
    assert [event["data"] for event in events] == [{"digest": digest}] * 2
    assert [event["actor"]["role"] for event in events] == ["resident", "property"]


async def test_only_an_upload_puts_a_picture_on_record(system: System):
    issue, _ = await reported(system)
    answer = await system.send(issue, "attach", system.staff, digest="0" * 64)
    assert (answer.status, answer["type"]) == (404, "/problems/not-found")


async def test_a_closed_issue_takes_no_more(system: System):
    issue, resident = await reported(system)
    await system.give(issue, "withdraw", resident, reason="自己修好了")
    answer = await attach(system, issue, resident, photo())
    assert (answer.status_code, answer.json()["code"]) == (409, "closed")


async def test_pictures_of_an_erased_issue_are_not_found(system: System):
    issue, resident = await reported(system)
    digest = (await attach(system, issue, resident, photo())).json()["attachment"]
    await system.keys.vault.erase(issue, "asked for", datetime.now(UTC))
    assert (await system.get(f"/v1/issues/{issue}/attachments/{digest}", system.staff)).status == 404
    (item,) = (await system.get(f"/v1/issues/{issue}/attachments", system.staff))["items"]
    assert item["actor"]["person"] == "[erased]"
    again = await attach(system, issue, resident, photo(9))
    assert (again.status_code, again.json()["code"]) == (409, "erased")


async def test_a_picture_that_was_altered_is_not_shown(system: System):
    issue, resident = await reported(system)
    digest = (await attach(system, issue, resident, photo())).json()["attachment"]
    file = system.home / "attachments" / digest[:2] / digest
    sealed = file.read_bytes()
    file.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with something_is_away():
        assert (await system.get(f"/v1/issues/{issue}/attachments/{digest}", system.staff)).status == 503


async def test_bytes_are_kept_under_their_digest(tmp_path: Any):
    blobs = DigestStore((tmp_path / "shelf").as_uri())
    digest = await blobs.put(b"sealed")
    assert await blobs.put(b"sealed") == digest
    assert await blobs.get(digest) == b"sealed"
    await blobs.remove(digest)
    await blobs.remove(digest)
    with pytest.raises(BlobError, match=digest):
        await blobs.get(digest)
