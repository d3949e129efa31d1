"""Lists, files, statistics and single issues obey the same scope: role x place x every route of the app.

A route that the table below does not name fails, so nobody adds one without saying who may see what on it.
"""

import asyncio
import io
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from PIL import Image

from api.http import examples
from api.http.requests import COMMANDS
from domain.access import MAY
from pages.shell import address_of
from support.again import Again, client_of
from support.browser import site
from support.system import Answer, System

COMPOUND = "jinpen"
"""Under a policy that leaves time: nothing climbs while the routes are asked."""
HERE = {
    "property": "jinpen-property", "community": "jinpen-community", "street": "cuiwei-street", "auditor": "cuiwei-street",
    "admin": "cuiwei-street", "department": "cuiwei-enforcement", "volunteer": "demo-volunteers",
}  # fmt: skip
THERE = {
    "property": "other-property", "community": "other-community", "street": "other-street", "auditor": "other-street",
    "admin": "other-street",
}  # fmt: skip
IS = {
    "code": {"reporter"}, "resident": {"reporter"}, "property here": {"handler", "lead", "chain"},
    "community here": {"chain", "senior"}, "street here": {"chain", "senior", "street"}, "admin here": {"admin"},
    "auditor here": set(),
}  # fmt: skip
"""Who sees the issue, which has just been reported, and what he is to it; all others are strangers."""
READS_TEXTS = IS.keys() - {"admin here", "auditor here"}
STAFF = tuple(f"{role} {where}" for where, orgs in (("here", HERE), ("there", THERE)) for role in orgs)
CALLERS = ("nobody", "code", "another code", "resident", "neighbour", *STAFF)


@dataclass
class Stage:
    """An issue with a picture and a receipt, and everybody's credentials."""

    app: FastAPI
    client: Again
    issue: str
    command: str
    picture: str
    headers: dict[str, dict[str, str]]

    async def get(self, path: str, who: str, **query: Any) -> Answer:
        answer = await self.client.get(path, headers=self.headers[who], params=query)
        is_json = "json" in answer.headers.get("content-type", "")
        return Answer(answer.status_code, answer.json() if is_json else answer.text, answer.headers)

    async def post(self, path: str, who: str, **sent: Any) -> Answer:
        """What becomes of it: sent again with the same key as long as it is queued."""
        headers = {"Idempotency-Key": str(uuid.uuid4()), **self.headers[who], **sent.pop("headers", {})}
        answer = await self.client.command(path, headers, **sent)
        return Answer(answer.status_code, answer.json() if answer.content else None, answer.headers)


Judge = Callable[[Stage, str], Awaitable[None]]


@pytest.fixture(scope="module")
async def stage(system: System) -> AsyncIterator[Stage]:
    reporter = system.token("row-8", "resident")
    taken, another = await system.report(reporter, compound=COMPOUND), await system.report()
    urged = await system.give(taken["id"], "urge", reporter)
    assert urged.status == 200
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(picture, "PNG")
    path = f"/v1/issues/{taken['id']}/attachments"
    added = await system.client.post(
        path, content=picture.getvalue(), headers={**reporter, "Content-Type": "image/png"}
    )
    assert added.status_code == 201, added.text
    headers = {
        "nobody": {}, "code": {"X-Tracking-Code": taken["tracking_code"]}, "resident": reporter,
        "another code": {"X-Tracking-Code": another["tracking_code"]}, "neighbour": system.token("row-8-b", "resident"),
    }  # fmt: skip
    for where, orgs in (("here", HERE), ("there", THERE)):
        for role, org in orgs.items():
            headers[f"{role} {where}"] = system.token(f"{role}-{where}", role, org)  # type: ignore[arg-type]
    async with site(system) as served, client_of(served.origin) as client:
        system.hub.close()  # each stream ends as soon as it has begun
        yield Stage(served.app, client, taken["id"], urged["command_id"], added.json()["attachment"], headers)


def of_issue(path: str, seen_by: set[str] | frozenset[str] = frozenset(IS)) -> Judge:
    """Something of one issue: whoever may see it gets it, everybody else a 404 as for one that does not exist."""

    async def judge(stage: Stage, who: str) -> None:
        answer = await stage.get(path.format(issue=stage.issue, digest=stage.picture, command=stage.command), who)
        assert answer.status == (401 if who == "nobody" else 200 if who in seen_by else 404), answer.body

    return judge


def command(name: str) -> Judge:
    """Whoever may see the issue learns that his version is stale, or that the command is not his; nobody else anything."""

    async def judge(stage: Stage, who: str) -> None:
        path, body = f"/v1/issues/{stage.issue}/commands/{name}", dict(examples.COMMANDS[name])
        if "handler" in body:
            body["handler"] = HERE["department"]
        stale = await stage.post(path, who, json=body, headers={"If-Match": '"999"'})
        unknown = 404 if name == "follow" else 401  # a neighbour needs no credentials to join what he may join
        expected = unknown if who == "nobody" else 403 if who.startswith("auditor") else 412 if who in IS else 404
        if name in ("adopt", "merge") and expected == 412 and stale.status == 422:
            return  # the other issue is looked for first, and is nobody's here
        assert stale.status == expected, stale.body
        if who in IS and expected == 412 and not IS[who] & set(MAY[name]):
            refused = await stage.post(path, who, json=body)
            assert refused.status == 409
            assert refused["code"] in ("not-yours", "hears-already")

    return judge


async def intake(stage: Stage, who: str) -> None:
    """Anybody reports anywhere; in an organisation's name only where it is at work."""
    body = {"compound": COMPOUND, "category": "leak", "description": "漏水"}
    answer = await stage.post("/v1/issues", who, json=body)
    if who.startswith("auditor"):
        assert answer.status in (403, 422), answer.body
    else:
        away = who.endswith("there") or who.startswith("volunteer")  # these volunteers run nothing
        assert answer.status == (422 if away else 201), answer.body


async def listed(stage: Stage, who: str) -> None:
    answer = await stage.get("/v1/issues", who, limit=200)
    if who in ("nobody", "code", "another code"):
        assert answer.status == 401
        return
    found = {item["id"] for item in answer["items"]}
    assert (stage.issue in found) is (who in IS)


async def sheet(stage: Stage, who: str) -> None:
    for of in ("issues", "timelines"):
        answer = await stage.get("/v1/issues.csv", who, of=of)
        if who in ("nobody", "code", "another code"):
            assert answer.status == 401
        else:
            assert answer.status == 200
            assert (stage.issue in str(answer.body)) is (who in IS)
            assert not re.search(r"\br-[a-z2-7]{26}", answer.body), (
                "no resident is named, not even to those who read his words"
            )
            assert "厨房" not in answer.body, "nor is there what he wrote"


async def workbook(stage: Stage, who: str) -> None:
    """Its cells are those of the file above: tests/api/test_sheets.py."""
    answer = await stage.get("/v1/issues.xlsx", who, of="issues")
    assert answer.status == (401 if who in ("nobody", "code", "another code") else 200)


async def candidates(stage: Stage, who: str) -> None:
    """Anybody finds what neighbours share, and nobody what is inside a flat."""
    answer = await stage.get("/v1/candidates", who, compound=COMPOUND, category="leak", building="3幢")
    assert answer.status == 200
    assert stage.issue not in str(answer.body)


async def places(stage: Stage, who: str) -> None:
    """Everybody chooses from all compounds; who runs one is told to those who work there."""
    answer = await stage.get("/v1/places", who, limit=200)
    found = {item["code"]: item["operator"] for item in answer["items"]}
    assert found.keys() > {COMPOUND, "other", "demo"}
    assert (found[COMPOUND] is not None) is (who in STAFF and who.endswith(" here") and who != "volunteer here")
    assert (found["other"] is not None) is who.endswith(" there")


async def organisations(stage: Stage, who: str) -> None:
    answer = await stage.get("/v1/organisations", who, limit=200)
    if who in ("nobody", "code", "another code"):
        assert answer.status == 401
        return
    found = {item["code"] for item in answer["items"]}
    if who not in STAFF:
        assert not found
    elif who == "volunteer here":  # these work nowhere
        assert found == {HERE["volunteer"]}
    else:
        assert (HERE["property"] in found, THERE["property"] in found) == (
            who.endswith(" here"),
            who.endswith(" there"),
        )


async def packs(stage: Stage, who: str) -> None:
    answer = await stage.get("/v1/policies", who)
    if who in ("nobody", "code", "another code"):
        assert answer.status == 401
        return
    found = {item["id"] for item in answer.body}
    works = who in STAFF and who != "volunteer here"
    assert ("demo" in found) is who.startswith("admin"), "no compound of theirs is bound to it"
    assert ("12345" in found) is works


async def worklist(stage: Stage, who: str) -> None:
    for org in (None, *HERE.values(), *THERE.values()):
        answer = await stage.get("/v1/worklist", who, **({} if org is None else {"org": org}))
        if who in ("nobody", "code", "another code"):
            assert answer.status == 401
        elif answer.status == 200:
            assert who in IS or stage.issue not in {item["id"] for item in answer["items"]}
        else:
            assert answer.status == 404, answer.body
            assert org is not None or who in ("resident", "neighbour")


async def worklist_events(stage: Stage, who: str) -> None:
    """Who reads a worklist may watch it, and nobody else."""
    for org in (None, *HERE.values(), *THERE.values()):
        named = {} if org is None else {"org": org}
        answer = await stage.get("/v1/worklist/events", who, **named)
        assert answer.status == (await stage.get("/v1/worklist", who, **named)).status


def page_of_issue(path: str, method: str = "GET") -> Judge:
    """A page opens by the cookie of its issue's code; no token, no header and no other code opens it."""

    async def judge(stage: Stage, who: str) -> None:
        where, headers = path.format(issue=stage.issue, command="urge", digest=stage.picture), stage.headers[who]
        assert (await stage.client.request(method, where, headers=headers)).status_code == 401
        if code := headers.get("X-Tracking-Code"):
            answer = await stage.client.request(method, where, headers={"Cookie": f"jiesu-code={code}"})
            own = 403 if method == "POST" else 200  # a form needs the token of the page, too
            assert answer.status_code == (own if who == "code" else 404)

    return judge


def page_of_open(path: str, method: str = "GET") -> Judge:
    """A page of a closed or merged issue: of this one, which is neither, there is none, whoever asks."""

    async def judge(stage: Stage, who: str) -> None:
        where, headers = path.format(issue=stage.issue), stage.headers[who]
        assert (await stage.client.request(method, where, headers=headers)).status_code == 401
        if code := headers.get("X-Tracking-Code"):
            answer = await stage.client.request(method, where, headers={"Cookie": f"jiesu-code={code}"})
            assert answer.status_code == 404

    return judge


async def page_by_address(stage: Stage, who: str) -> None:
    code = stage.headers[who].get("X-Tracking-Code", "8J5ZC-0QK2M-VT7XD-3H9RA")
    answer = await stage.client.get(f"/t/{stage.issue}/{code}")
    stage.client.cookies.clear()
    assert answer.status_code == (303 if who == "code" else 404)


async def access_log(stage: Stage, who: str) -> None:
    answer = await stage.get("/v1/access", who, issue=stage.issue)
    if who in ("nobody", "code", "another code"):
        assert answer.status == 401
    elif who.partition(" ")[0] in ("auditor", "admin"):
        assert answer.status == 200
        assert who.endswith("here") or answer["items"] == []
    else:
        assert answer.status in (403, 404), answer.body


async def picture(stage: Stage, who: str) -> None:
    """Adding one: judged before the picture is looked at."""
    path = f"/v1/issues/{stage.issue}/attachments"
    answer = await stage.post(path, who, content=b"no picture", headers={"Content-Type": "image/png"})
    if who == "nobody":
        assert answer.status == 401
    elif who.startswith("auditor"):
        assert answer.status in (403, 404)
    elif who in IS:
        assert answer.status == (422 if IS[who] & set(MAY["comment"]) else 409), answer.body
    else:
        assert answer.status == 404, answer.body


def audit(path: str, method: str = "GET") -> Judge:
    """For the auditor of the street alone; what he gets is of his street, which other tests look at in full."""

    async def judge(stage: Stage, who: str) -> None:
        where = path.format(issue=stage.issue)
        sent = {"query": f"issue={stage.issue}"} if where.endswith(("verdicts", "bundle", "mining")) else {}
        sent |= {"at": "2026-11-27T08:00:00Z"} if where.endswith("/timeline") else {}
        if method == "POST":
            answer = await stage.post(where, who, json={"policy": "demo", "query": f"issue={stage.issue}"})
        else:
            answer = Answer(*await raw(stage, where, who, sent))
        if who in ("nobody", "code", "another code"):
            assert answer.status == 401
        elif not who.startswith("auditor"):
            assert answer.status in (403, 404), answer.body
        elif who == "auditor there":
            assert stage.issue not in str(answer.body)
            assert answer.status == 404 or "{issue}" not in path
        else:
            assert answer.status in (200, 404, 422), answer.body  # an open issue has no proof as yet

    return judge


async def raw(stage: Stage, path: str, who: str, query: dict[str, str]) -> tuple[int, Any, Any]:
    answer = await stage.client.get(path, headers=stage.headers[who], params=query)
    return answer.status_code, answer.text, answer.headers


async def decoding(stage: Stage, who: str) -> None:
    """What Temporal holds, for auditors and administrators; what people wrote stays sealed in it."""
    answer = await stage.post("/codec/decode", who, json={"payloads": []})
    permitted = who.partition(" ")[0] in ("auditor", "admin")
    assert answer.status == (401 if who in ("nobody", "code", "another code") else 200 if permitted else 403)


def knows_nobody(path: str, method: str = "GET", **sent: Any) -> Judge:
    """Signing in and out, and proving a phone: a token or a code makes no difference, and nothing of an issue is there."""

    async def judge(stage: Stage, who: str) -> None:
        answers = [
            await stage.client.request(method, path, headers=stage.headers[each], **sent) for each in (who, "nobody")
        ]
        assert answers[0].status_code == answers[1].status_code in (200, 202, 204, 302, 303, 400, 401, 404, 422, 503)
        assert stage.issue not in answers[0].text

    return judge


def of_session(path: str, method: str = "GET") -> Judge:
    """A page of this issue that opens to a session alone: whoever has none is sent to sign in, as for an issue of nobody's."""

    async def judge(stage: Stage, who: str) -> None:
        where = path.format(issue=stage.issue, command="accept", digest=stage.picture)
        answer = await stage.client.request(method, where, headers=stage.headers[who])
        assert answer.status_code == (303 if method == "GET" else 401), answer.text
        assert stage.issue not in answer.text

    return judge


def form_of_nobody(path: str) -> Judge:
    """A form that takes no token of the API and no code: without that of its page it is refused to everybody."""

    async def judge(stage: Stage, who: str) -> None:
        answer = await stage.client.post(path, headers=stage.headers[who], data={"issue": stage.issue})
        assert answer.status_code == 403
        assert stage.issue not in answer.text

    return judge


def open_to_all(path: str) -> Judge:
    """Nothing of anybody's, so everybody gets the same."""

    async def judge(stage: Stage, who: str) -> None:
        status, text, _ = await raw(stage, path, who, {})
        assert status in (200, 204)
        assert stage.issue not in text

    return judge


async def played_by_no_foreign_page(stage: Stage, who: str) -> None:
    """The demo issues of a trial: a page of ours has them played for anybody (tests/pages), another page for nobody."""
    headers = {**stage.headers[who], "Origin": "http://elsewhere.example"}
    assert (await stage.client.post("/demo", headers=headers)).status_code == 403


async def preflight(stage: Stage, who: str) -> None:
    answer = await stage.client.options("/codec/decode", headers=stage.headers[who])
    assert (answer.status_code, answer.content) == (204, b"")


WORK = ("/work", "/work/live", "/work/{issue}", "/work/{issue}/live", "/work/{issue}/{command}")
"""Pages that open to a session alone; who sees what there, tests/pages/test_work.py says."""
_AUDIT = "/v1/audit/issues/{issue}"
TABLE: dict[tuple[str, str], Judge] = {
    ("POST", "/v1/issues"): intake,
    ("GET", "/v1/issues"): listed,
    ("GET", "/v1/issues.csv"): sheet,
    ("GET", "/v1/issues.xlsx"): workbook,
    ("GET", "/v1/candidates"): candidates,
    ("GET", "/v1/worklist"): worklist,
    ("GET", "/v1/places"): places,
    ("GET", "/v1/organisations"): organisations,
    ("GET", "/v1/policies"): packs,
    ("GET", "/v1/vocabulary"): open_to_all("/v1/vocabulary"),
    ("GET", "/v1/access"): access_log,
    ("GET", "/v1/issues/{issue}"): of_issue("/v1/issues/{issue}"),
    ("GET", "/v1/issues/{issue}/next"): of_issue("/v1/issues/{issue}/next"),
    ("GET", "/v1/issues/{issue}/timeline"): of_issue("/v1/issues/{issue}/timeline"),
    ("GET", "/v1/issues/{issue}/attachments"): of_issue("/v1/issues/{issue}/attachments"),
    ("GET", "/v1/issues/{issue}/attachments/{digest}"): of_issue(
        "/v1/issues/{issue}/attachments/{digest}", READS_TEXTS
    ),
    ("POST", "/v1/issues/{issue}/attachments"): picture,
    ("GET", "/v1/commands/{command}"): of_issue("/v1/commands/{command}"),
    **{("POST", f"/v1/issues/{{issue}}/commands/{name}"): command(name) for name in COMMANDS},
    **{("GET", f"/v1/audit/{name}"): audit(f"/v1/audit/{name}") for name in ("head", "verdicts", "bundle", "mining")},
    ("POST", "/v1/audit/whatif"): audit("/v1/audit/whatif", "POST"),
    **{("GET", f"{_AUDIT}/{name}"): audit(f"{_AUDIT}/{name}") for name in ("verdict", "proof", "timeline", "diff")},
    ("POST", "/v1/phones"): knows_nobody("/v1/phones", "POST", json={"phone": "13800000000"}),
    ("POST", "/v1/phones/verify"): knows_nobody("/v1/phones/verify", "POST", json={}),
    ("GET", "/session"): knows_nobody("/session"),
    ("POST", "/session/acting"): knows_nobody(
        "/session/acting", "POST", json={"role": "street", "org": "cuiwei-street"}
    ),
    ("GET", "/session/login"): knows_nobody("/session/login"),
    ("GET", "/session/callback"): knows_nobody("/session/callback"),
    ("POST", "/session/logout"): knows_nobody("/session/logout", "POST"),
    ("GET", "/oidc/.well-known/openid-configuration"): knows_nobody("/oidc/.well-known/openid-configuration"),
    **{("GET", f"/oidc/{name}"): knows_nobody(f"/oidc/{name}") for name in ("jwks", "authorize", "authorize/as")},
    ("POST", "/oidc/token"): knows_nobody("/oidc/token", "POST"),
    ("POST", "/codec/decode"): decoding,
    ("OPTIONS", "/codec/decode"): preflight,
    ("GET", "/v1/issues/{issue}/events"): of_issue("/v1/issues/{issue}/events"),
    ("GET", "/v1/worklist/events"): worklist_events,
    ("GET", "/"): open_to_all("/"),
    ("GET", "/language/{language}"): knows_nobody("/language/zh"),
    ("GET", "/static/{stamp}/{name}"): open_to_all(address_of("app.css")),
    ("GET", "/favicon.ico"): open_to_all("/favicon.ico"),
    ("GET", "/desk"): knows_nobody("/desk"),
    ("POST", "/desk/remind"): knows_nobody("/desk/remind", "POST"),
    ("GET", "/search"): knows_nobody("/search"),
    ("GET", "/docs"): open_to_all("/docs"),
    ("GET", "/docs/commands"): open_to_all("/docs/commands"),
    ("GET", "/docs/api/{operation}"): open_to_all("/docs/api/report"),
    ("POST", "/find"): knows_nobody("/find", "POST"),
    ("GET", "/t/{issue}/{code}"): page_by_address,
    ("GET", "/i/{issue}"): page_of_issue("/i/{issue}"),
    ("GET", "/i/{issue}/into"): page_of_open("/i/{issue}/into"),
    ("GET", "/i/{issue}/again"): page_of_open("/i/{issue}/again"),
    ("POST", "/i/{issue}/again"): page_of_open("/i/{issue}/again", "POST"),
    ("GET", "/i/{issue}/sent"): page_of_issue("/i/{issue}/sent"),
    ("GET", "/report"): knows_nobody("/report?k=0b9f6f2e-4c1d-4f7a-9b1e-2f6a4c1d7e85"),
    ("POST", "/report"): form_of_nobody("/report"),
    ("GET", "/report/similar"): knows_nobody(f"/report/similar?compound={COMPOUND}&category=leak&building=3"),
    ("POST", "/report/follow"): form_of_nobody("/report/follow"),
    ("GET", "/i/{issue}/live"): page_of_issue("/i/{issue}/live"),
    ("GET", "/i/{issue}/photo/{digest}"): page_of_issue("/i/{issue}/photo/{digest}"),
    ("POST", "/i/{issue}/photo"): page_of_issue("/i/{issue}/photo", "POST"),
    ("GET", "/work/{issue}/photo/{digest}"): of_session("/work/{issue}/photo/{digest}"),
    ("POST", "/work/{issue}/photo"): of_session("/work/{issue}/photo", "POST"),
    ("POST", "/i/{issue}/{command}"): page_of_issue("/i/{issue}/{command}", "POST"),
    ("GET", "/find"): open_to_all("/find"),
    ("POST", "/sign-in/as"): knows_nobody("/sign-in/as", "POST"),
    ("POST", "/demo"): played_by_no_foreign_page,
    ("GET", "/mine"): knows_nobody("/mine"),
    ("GET", "/me"): knows_nobody("/me"),
    ("POST", "/me/forget"): knows_nobody("/me/forget", "POST"),
    ("GET", "/sign-in"): open_to_all("/sign-in"),
    ("GET", "/roles"): knows_nobody("/roles"),
    ("POST", "/roles"): knows_nobody("/roles", "POST"),
    ("POST", "/sign-out"): knows_nobody("/sign-out", "POST"),
    ("GET", "/{path:path}"): knows_nobody("/nothing-of-this-name"),
    ("GET", "/places"): knows_nobody("/places?q=demo"),
    ("GET", "/places/found"): knows_nobody("/places/found?q=demo"),
    ("GET", "/r/{compound}"): knows_nobody(f"/r/{COMPOUND}"),
    ("GET", "/r/{compound}/{building}"): knows_nobody("/r/demo/3"),
    ("GET", "/qr/{compound}"): knows_nobody(f"/qr/{COMPOUND}"),
    ("GET", "/people"): knows_nobody("/people"),
    ("POST", "/people/{what}"): knows_nobody("/people/duty-phone", "POST"),
    ("GET", "/board/{compound}"): knows_nobody(f"/board/{COMPOUND}"),
    ("GET", "/phone"): open_to_all("/phone"),
    ("POST", "/phone"): knows_nobody("/phone", "POST", data={"phone": "13800000000"}),
    ("POST", "/phone/code"): knows_nobody("/phone/code", "POST", data={"phone": "13800000000", "code": "000000"}),
    **{("GET", path): of_session(path) for path in WORK},
    ("POST", "/work/{issue}/phone"): of_session("/work/{issue}/phone", "POST"),
    ("POST", "/work/{issue}/{command}"): of_session("/work/{issue}/{command}", "POST"),
    ("GET", "/healthz"): open_to_all("/healthz"),
    ("GET", "/readyz"): open_to_all("/readyz"),
    ("GET", "/metrics"): open_to_all("/metrics"),
    ("GET", "/problems/{name}"): open_to_all("/problems/refused"),
}
"""Method and path of every route -> what each caller must get there."""


async def test_row_08_every_route_of_the_app_is_in_the_table(stage: Stage) -> None:
    written = [route for route in stage.app.routes if isinstance(route, APIRoute)]
    found = {(method, route.path) for route in written for method in route.methods}
    assert found - TABLE.keys() == set(), "say who may see what there"
    assert TABLE.keys() - found == set(), "there is no such route any more"


@pytest.mark.parametrize(("method", "path"), TABLE)
async def test_row_08_each_caller_sees_his_own_scope_and_nothing_else(stage: Stage, method: str, path: str) -> None:
    faults: list[str] = []

    async def ask(who: str) -> None:
        try:
            await TABLE[method, path](stage, who)
        except AssertionError as error:
            faults.append(f"{who}: {error}")

    await asyncio.gather(*map(ask, CALLERS))
    assert not faults, "\n".join(faults)
