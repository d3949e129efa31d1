"""An installation with a canary in every personal field, and all its outputs, for tests that search them."""

import asyncio
import contextlib
import io
import json
import logging
import re
import zipfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import httpx
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic import SecretStr
from sqlalchemy import select

import domain.commands as c
from activities.pictures import StoredPictures
from activities.privacy import Privacy
from audit.heads import Destinations, publish
from audit.holdings import Holdings
from audit.log_keys import LogKeys
from audit.report_page import page
from audit.selection import Selection
from audit.service import AuditService, in_thread
from audit.verify_all import AuditReport, Source, lines, verify_all
from audit.whatif.page import as_html
from audit.whatif.report import as_csv, as_text
from audit.whatif.study import Study
from cli.install import concealed
from db.directory import load_directory, store_directory
from db.tables import ArchiveRow, Base, IssueRow, SealRow
from domain.commands import Body, ContactDetails, Step
from domain.directory_files import csv_files
from domain.personal import change_personal
from domain.retention import DEFAULT
from domain.wire import dump, truncate
from policies.loader import load_pack
from runtime.blobs import DigestStore
from runtime.observability import configure_logging
from runtime.settings import Settings
from security.codec import converter, decode_events
from security.credentials import OwnRoot, Signer
from security.keys import Keys
from security.keystore import KeyStore
from security.master import MasterKeys
from security.namespace import NamespaceKeys
from security.vault import Vault
from support.canary import HEAD, Canaries
from support.system import SECRET, Answer, System
from support.temporal import dev_server

COMPOUND: Final = "jinpen"
"""Under a policy that leaves time: nothing climbs by the clock meanwhile."""
ORGS: Final = {
    "property": "jinpen-property", "community": "jinpen-community", "street": "cuiwei-street", "admin": "cuiwei-street",
    "auditor": "cuiwei-street",
}  # fmt: skip
RESIDENT: Final = "resident"
NEIGHBOUR: Final = "neighbour"
"""Somebody whose own report was merged into the issue."""

Part = tuple[str, Body]
"""In which role, and what."""


def _soon(**ahead: float) -> datetime:
    return truncate(datetime.now(UTC) + timedelta(**ahead))


def parts() -> tuple[tuple[Part, ...], ...]:
    """Lives in which every command that carries a text is given so that it takes effect; the texts come later."""
    return (
        (
            ("property", c.Accept()), ("property", c.Comment()), (RESIDENT, c.Urge()), ("property", c.Answer("")), (RESIDENT, c.Object("")),
            ("community", c.Deny("objection", "")), ("property", c.Assign("")), (NEIGHBOUR, c.Urge()), ("property", c.Answer("")),
            (NEIGHBOUR, c.Object("")), ("community", c.Deny("objection", "")),
            ("property", c.Arrive("minor")), ("property", c.Schedule(_soon(hours=3))), ("property", c.Attempt()),
            ("property", c.Contact()), ("property", c.Assess("complex")), ("property", c.Mitigate()),
            ("property", c.Extend("")), ("community", c.Grant()),
            ("property", c.Plan((Step("", _soon(days=1)), Step("", _soon(days=2))))), ("property", c.StepDone(1)),
            ("property", c.Answer("")), ("property", c.Ask("")), (RESIDENT, c.Supply("")),
            ("property", c.Wait("parts", _soon(hours=5))), ("property", c.Resume()), ("property", c.Refer("110")),
            ("community", c.Supervise()), ("community", c.Instruct("")), ("community", c.Correct("")),
            ("community", c.Sit(parties=("", ""))), ("property", c.Complete(evidence=("",))), (RESIDENT, c.Reopen("")),
            ("property", c.Accept()), ("property", c.Complete(evidence=("",))),
            (NEIGHBOUR, c.Confirm("solved", "satisfied")), (RESIDENT, c.Confirm("solved", "satisfied")),
        ),
        (
            ("property", c.Accept()), ("property", c.Decline("not_our_duty")), ("community", c.Rule(upheld=False)),
            ("property", c.Extend("")), ("community", c.Deny()), ("property", c.Escalate("")),
            ("community", c.Redispatch("cuiwei-enforcement", "")), ("community", c.Return("")), ("street", c.Shelve("")),
            ("street", c.Resume()), ("admin", c.ChangePolicy("52022", "")), (RESIDENT, c.Withdraw()),
        ),
        (("community", c.Reject("")), (RESIDENT, c.Object("")), ("street", c.Deny("objection", ""))),
    )  # fmt: skip


@dataclass
class Planted:
    """See the module; made by `planted`."""

    system: System
    canaries: Canaries = field(default_factory=Canaries)
    log: io.StringIO = field(default_factory=io.StringIO)
    of_neighbour: set[str] = field(default_factory=set[str])
    """What the neighbour wrote."""
    issues: list[str] = field(default_factory=list[str])
    merged: list[str] = field(default_factory=list[str])
    """Issues of the neighbour that were merged into one of these, or follow one."""
    came_back: str = ""
    codes: list[str] = field(default_factory=list[str])
    answered: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    """Every answer of the API that is no success: request line, then status, headers and body."""
    subject: str = ""
    shade: int = 0
    tokens: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    root: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    masters: MasterKeys = field(default_factory=MasterKeys.new)
    namespace: NamespaceKeys = field(default_factory=NamespaceKeys.new)

    def headers(self, role: str) -> dict[str, str]:
        """Of whoever acts in that role here; always the same."""
        if role not in self.tokens:
            person = self.subject if role == RESIDENT else f"{role}-1"
            acting = RESIDENT if role == NEIGHBOUR else role
            self.tokens[role] = self.system.token(person, cast("Any", acting), ORGS.get(role))
        return self.tokens[role]

    # Planting

    def plant(self, body: Body, where: str) -> Body:
        """The body with a canary in each of its personal fields."""
        return change_personal(body, lambda path, _: self.canaries.plant(f"{where}.{path}"))

    async def report(self) -> str:
        """A new issue, by a resident with a token."""
        self.subject = self.subject or self.canaries.plant("subject").removeprefix(HEAD)
        sent = c.Report("", cast("Any", None), "leak", "", contact=ContactDetails())
        texts: dict[str, str] = {}
        change_personal(sent, lambda path, _: texts.setdefault(path, self._of_report(path)))
        contact = {name.removeprefix("contact."): text for name, text in texts.items() if name.startswith("contact.")}
        plain = {name: text for name, text in texts.items() if not name.startswith("contact.")}
        taken = await self.system.report(self.headers(RESIDENT), compound=COMPOUND, **plain, contact=contact)
        assert taken.status == 201, taken.body
        self.issues.append(taken["id"])
        self.codes.append(taken["tracking_code"])
        await self.system.until(f"/v1/issues/{taken['id']}/timeline", self.headers("street"), lambda b: b["events"])
        return taken["id"]

    def _of_report(self, path: str) -> str:
        where = f"report {len(self.issues) + 1}.{path}"
        return self.canaries.phone(where) if path.endswith("phone") else self.canaries.plant(where)

    async def give(self, issue: str, role: str, body: Body) -> Answer:
        """A command with a canary in each of its texts."""
        name = c.NAMES[type(body)]
        before = len(self.canaries.planted)
        planted = self.plant(body, f"issue {self.issues.index(issue) + 1}, {name}")
        if role == NEIGHBOUR:
            self.of_neighbour |= set([*self.canaries.planted][before:])
        plain = {key: value for key, value in dump(planted).items() if key not in ("handler_kind", "body")}
        if isinstance(body, c.Complete):
            plain["evidence"] = [*plain.get("evidence", ()), await self.picture(issue, role)]
        return await self.system.give(issue, name, self.headers(role), **plain)

    async def live(self, life: tuple[Part, ...]) -> str:
        """A whole life of an issue."""
        issue = await self.report()
        await self.picture(issue)
        if any(role == NEIGHBOUR for role, _ in life):
            await self.merge(issue)
        for role, body in life:
            await self._given(issue, role, body)
        if self.merged and not self.came_back:
            await self.come_back(issue)
        return issue

    async def part_again(self) -> None:
        """Two issues are merged and split again."""
        older, younger = await self.report(), await self.report()
        merged = await self.system.give(younger, "merge", self.headers("community"), into=older)
        assert merged.status == 200, merged.body
        await self._given(younger, "community", c.Split(""))
        staff = self.headers("community")
        await self.system.until(
            f"/v1/issues/{older}/timeline", staff, lambda body: body["events"][-1]["kind"] == "split"
        )
        for issue in (younger, older):
            await self._given(issue, RESIDENT, c.Withdraw())

    async def _given(self, issue: str, role: str, body: Body) -> None:
        answer = await self.give(issue, role, body)
        assert answer.status == 200, (type(body), answer.body)

    async def come_back(self, issue: str) -> None:
        """The neighbour reports that it came back, so that what was before is shown with his new issue."""
        taken = await self.system.report(self.headers(NEIGHBOUR), compound=COMPOUND, follows=issue)
        assert (await self.system.give(taken["id"], "withdraw", self.headers(NEIGHBOUR))).status == 200
        self.came_back = taken["id"]
        self.merged.append(taken["id"])

    async def merge(self, issue: str) -> None:
        """A neighbour's report is merged into the issue, so that he follows it."""
        younger = await self.system.report(self.headers(NEIGHBOUR), compound=COMPOUND)
        given = await self.system.give(younger["id"], "merge", self.headers("community"), into=issue)
        assert given.status == 200, given.body
        for role, name, body in (  # and that is upheld, so that it is closed
            (NEIGHBOUR, "object", {"reason": "不是一件事"}), ("street", "deny", {"what": "objection", "reason": "是"}),
        ):  # fmt: skip
            given = await self.system.give(younger["id"], name, self.headers(role), **body)
            assert given.status == 200, given.body
        self.merged.append(younger["id"])

    async def turned_away(self) -> None:
        """What has no effect carries texts as well: refused, sent while nobody works, or not understood."""
        system, issue = self.system, await self.report()
        assert (await self.give(issue, RESIDENT, c.Confirm("solved", "satisfied"))).status == 409
        assert (await self.give(issue, "auditor", c.Comment())).status == 403
        text = self.canaries.plant("not understood")
        for name, body in (("comment", {"text": text, "surname": text}), ("wait", {"reason": text}),
                           ("comment", {"text": f"sealed:{text}:x"}), ("frobnicate", {"text": text})):  # fmt: skip
            assert (await system.send(issue, name, self.headers(RESIDENT), **body)).status in (404, 422)
        for name in ("text", "description"):
            assert (await system.report(self.headers(RESIDENT), **{name: text + "\x00"})).status == 422
        for code in (text.removeprefix(HEAD), ""):
            answer = await system.get(f"/v1/issues/{issue}/timeline", {"X-Tracking-Code": code})
            assert answer.status in (401, 404)
        assert (await system.get("/v1/issues", {"Authorization": f"Bearer {text[3:]}"})).status == 401
        await system.stop_worker()
        planted = self.plant(c.Confirm("solved", "satisfied"), f"issue {len(self.issues)}, confirm")
        plain = dump(planted)
        assert (await system.send(issue, "confirm", self.headers(RESIDENT), **plain)).status == 202
        assert (await system.send(issue, "reject", self.headers("community"), reason=text)).status == 202
        await system.start_worker()
        assert (await self.give(issue, RESIDENT, c.Object(""))).status == 200
        assert (await self.give(issue, "street", c.Deny("objection", ""))).status == 200

    async def phone(self) -> None:
        """Somebody proves a phone and reports with it."""
        number = self.canaries.phone("phone")
        client = self.system.client
        assert (await client.post("/v1/phones", json={"phone": number})).status_code == 202
        async with asyncio.timeout(90):
            while not self.system.texts.exists():
                await asyncio.sleep(0.02)
        (said,) = re.findall(r"验证码 ([0-9]{6})", self.system.texts.read_text("utf-8"))
        proof = {"phone": number, "code": said}
        answer = await client.post("/v1/phones/verify", json=proof)
        assert (await client.post("/v1/phones/verify", json=proof)).status_code == 422
        holder = {"Authorization": f"Bearer {answer.json()['token']}"}
        assert (await self.system.report(holder, compound=COMPOUND)).status == 201

    async def appoint(self) -> None:
        """Imports the directory anew, with the phone of somebody of the property."""
        number = self.canaries.phone("appointment")
        async with self.system.database.write() as session:
            found = await load_directory(session)
            first, *others = found.appointments
            planted = replace(found, appointments=(replace(first, phone=f"+86{number}"), *others))
            settings = Settings(home=self.system.home, secret=SecretStr(SECRET.decode()))
            await store_directory(session, concealed(planted, settings), truncate(datetime.now(UTC)))

    async def find(self, text: str) -> int:
        """How many issues are found by a text."""
        answer = await self.system.get("/v1/issues", self.headers("community"), q=text)
        return len(answer["items"])

    async def timelines(self) -> list[Any]:
        """As the reporter reads them."""
        resident = self.headers(RESIDENT)
        return [(await self.system.get(f"/v1/issues/{each}/timeline", resident)).body for each in self.issues]

    async def overheard(self) -> list[Any]:
        """What the neighbour reads of the issue that he follows, and before the one that came back, and the reporter."""
        paths = [f"/v1/issues/{self.issues[0]}{part}" for part in ("", "/next", "/timeline", "/attachments")]
        paths.append(f"/v1/issues/{self.came_back}/timeline")
        readers = (self.headers(NEIGHBOUR), self.headers(RESIDENT))
        return [[(await self.system.get(path, who)).body for path in paths] for who in readers]

    async def pictures(self) -> list[int]:
        """How many the reporter sees of each issue."""
        resident = self.headers(RESIDENT)
        answers = [await self.system.get(f"/v1/issues/{each}/attachments", resident) for each in self.issues]
        return [len(answer["items"]) for answer in answers]

    async def picture(self, issue: str, role: str = RESIDENT) -> str:
        """Uploads one that says in its metadata what nobody is to know; its digest."""
        said = PngInfo()
        said.add_text("Comment", self.canaries.plant("picture, comment"))
        exif = Image.Exif()
        exif[0x010E] = self.canaries.plant("picture, EXIF").removeprefix(HEAD)
        held = io.BytesIO()
        self.shade += 1  # no two are the same
        Image.new("RGB", (40, 30), (0, 0, self.shade)).save(held, "PNG", pnginfo=said, exif=exif)
        headers = {**self.headers(role), "Content-Type": "image/png"}
        answer = await self.system.client.post(
            f"/v1/issues/{issue}/attachments", content=held.getvalue(), headers=headers
        )
        assert answer.status_code == 201, answer.text
        return answer.json()["attachment"]

    # What becomes of it

    async def sealed(self) -> None:
        """Until every issue is archived, and can be found by what was reported; then a head is published."""
        async with asyncio.timeout(60):
            while {*self.issues, *self.merged} - set(await self._column(SealRow.issue)):
                await asyncio.sleep(0.1)
            while not all(await self._column(IssueRow.words)):
                await asyncio.sleep(0.1)
        ring = LogKeys.create(self.system.home / "keys" / "seal", "planted.example/jiesu")
        await publish(
            self.system.database,
            ring,
            Destinations(self.system.heads, roots=lambda: self.system.keys.signer.roots),
            datetime.now(UTC),
        )

    async def _column(self, column: Any) -> list[Any]:
        async with self.system.database.read() as session:
            return list(await session.scalars(select(column)))

    def privacy(self, rules: Any = DEFAULT) -> Privacy:
        """As the worker has it."""
        database = self.system.database
        return Privacy(
            database, self.system.keys.vault, StoredPictures(database, DigestStore((self.system.home / "attachments").as_uri())),
            rules, 400,
        )  # fmt: skip

    # Everything that is put out

    async def outputs(self) -> AsyncIterator[tuple[str, bytes]]:
        """Where, and the bytes: whatever leaves the memory of the processes but for what readers are shown."""
        for path in sorted(self.system.home.rglob("*")):
            if path.is_file() and path != self.system.texts:  # which stands for the SMS gateway
                yield str(path.relative_to(self.system.home)), path.read_bytes()
        async for each in self._rows():
            yield each
        async with self.system.database.read() as session:
            for name, text in csv_files(await load_directory(session)).items():
                yield f"directory {name}", text.encode()
        async for each in self._histories():
            yield each
        async for each in self._files():
            yield each
        async for each in self._for_others():
            yield each
        yield "log", self.log.getvalue().encode()
        for where, data in self.answered:
            yield where, data

    async def _rows(self) -> AsyncIterator[tuple[str, bytes]]:
        async with self.system.database.read() as session:
            for table in Base.metadata.sorted_tables:
                for row in await session.execute(table.select()):
                    for name, value in row._mapping.items():
                        yield f"{table.name}.{name}", json.dumps(value, default=str, ensure_ascii=False).encode()
            keys = list((await session.scalars(select(ArchiveRow.key))).all())
        for key in keys:
            yield f"archive {key}", (await self.system.archive.read_run(key))[1]
        for issue in self.issues:
            yield f"seal {issue}", json.dumps(await self.system.archive.get_seal(issue), ensure_ascii=False).encode()

    async def _histories(self) -> AsyncIterator[tuple[str, bytes]]:
        client = self.system.temporal
        # A probe of readiness is deleted as soon as it is begun: it may be gone before its history is read.
        async for execution in client.list_workflows("WorkflowType != 'jiesu-probe'"):
            handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
            yield f"attributes {execution.id}", repr(execution.raw_info).encode()
            history = await handle.fetch_history()
            yield f"raw {execution.id}", b"".join(event.SerializeToString() for event in history.events)
            events = await decode_events(history.events, client.data_converter.payload_codec)
            yield f"decoded {execution.id}", b"".join(event.SerializeToString() for event in events)

    async def _files(self) -> AsyncIterator[tuple[str, bytes]]:
        """What a form offers, and files for spreadsheets: no personal text for anybody, not even for those who read it."""
        candidates = f"/v1/candidates?compound={COMPOUND}&category=leak&building="
        for role in (*ORGS, RESIDENT, NEIGHBOUR):
            for path in (
                "/v1/issues.csv", "/v1/issues.csv?of=timelines", "/v1/places?limit=200", "/v1/organisations?limit=200",
                "/v1/policies", "/v1/vocabulary", candidates,
            ):  # fmt: skip
                answer = await self.system.client.get(path, headers=self.headers(role))
                assert answer.status_code == 200, (path, answer.text)
                yield f"{path} for {role}", answer.content

    async def _for_others(self) -> AsyncIterator[tuple[str, bytes]]:
        """What those get who may not read texts, and the files that leave the house."""
        street = f"street={ORGS['street']}"
        paths = [
            "/openapi.json", "/metrics", "/readyz", "/v1/issues", "/v1/access", "/v1/audit/verdicts",
            f"/v1/audit/bundle?query={street}", "/v1/audit/mining?format=ocel", "/v1/audit/mining?format=xes",
            *(f"/v1/issues/{issue}{part}" for issue in (*self.issues, *self.merged) for part in ("", "/next", "/timeline", "/attachments")),
            *(
                f"/v1/audit/issues/{issue}/{part}"
                for issue in self.issues for part in ("verdict", "proof", "timeline?at=2", "diff")
            ),
        ]  # fmt: skip
        auditor = self.headers("auditor")
        for path in paths:
            answer = await self.system.client.get(path, headers=auditor)
            assert answer.status_code == 200, (path, answer.text)
            yield path, answer.content
            for name, data in _unpacked(answer.content):
                yield f"{path} {name}", data
        study = {"policy": "52022", "query": street}
        answer = await self.system.client.post("/v1/audit/whatif", json=study, headers=auditor)
        assert answer.status_code == 200, answer.text
        yield "/v1/audit/whatif", answer.content
        async for each in self._reports():
            yield each

    async def _reports(self) -> AsyncIterator[tuple[str, bytes]]:
        """What `jiesu audit` writes for people to print and to put into a spreadsheet."""
        study = Study(load_pack("52022"), None, datetime.now(UTC))
        service = AuditService(Holdings(self.system.database, self.system.archive), self.system.heads)
        await in_thread(study.add_all, service.closed(Selection.parse("")))
        for write in (as_csv, as_text, as_html):
            yield write.__name__, write(study).encode()
        report = AuditReport("all", datetime.now(UTC))
        await verify_all(Source(self.system.url, self.system.archive.url), report, workers=1)
        yield "report", "\n".join((*lines(report), page(report))).encode()

    async def leaks(self) -> dict[str, list[str]]:
        """Where canaries are, and which."""
        found: dict[str, list[str]] = {}
        async for where, data in self.outputs():
            if hits := self.canaries.found(data):
                found.setdefault(where, []).extend(hits)
        return found

    async def hear(self, response: httpx.Response) -> None:
        """Notes an answer that is no success."""
        if response.status_code >= 400:
            body = await response.aread()
            head = f"{response.status_code} {response.headers}".encode()
            self.answered.append((f"answer {response.request.method} {response.request.url.path}", head + body))


def _unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    if not data.startswith(b"PK"):
        return
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        for name in packed.namelist():
            yield name, packed.read(name)


@contextlib.asynccontextmanager
async def planted(home: Path, database_url: str = "") -> AsyncIterator[Planted]:
    """A whole system whose keys of issues lie in files, with all that it logs kept."""
    (home / "keys").mkdir(mode=0o700)
    store = KeyStore(f"sqlite:///{home / 'keys' / 'issues.db'}")
    await store.prepare()
    root, masters, namespace = Ed25519PrivateKey.generate(), MasterKeys.new(), NamespaceKeys.new()
    keys = Keys(Signer(OwnRoot(root)), Vault(store, masters), converter(namespace))
    log = io.StringIO()
    with logged(log):
        async with dev_server(home) as temporal, System(home, temporal, database_url, keys=keys) as system:
            stage = Planted(system, log=log, root=root, masters=masters, namespace=namespace)
            system.client.event_hooks["response"].append(stage.hear)
            yield stage
    await keys.close()


@contextlib.contextmanager
def logged(stream: io.StringIO) -> Iterator[None]:
    """Everything that this process logs, at its most talkative, as an installation writes it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging("debug", "json", stream)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
