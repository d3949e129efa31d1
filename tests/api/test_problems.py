"""Errors are problem+json of stable types; an unforeseen error reveals no internals."""

import json

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from api.http import problems
from api.http.middleware import Edge, Meters
from api.http.problems import TYPES
from protocol.errors import Invalid, Refused, Stale, Unauthenticated, Unavailable, why
from runtime.causes import FULL
from texts.catalogue import Wrong

CONTRACT = {
    "refused": 409, "stale": 412, "invalid": 422, "idempotency-key-missing": 400, "idempotency-key-reused": 422,
    "unauthenticated": 401, "not-found": 404, "too-large": 413, "too-many": 429, "unavailable": 503,
}  # fmt: skip


class Body(BaseModel):
    model_config = {"extra": "forbid"}

    word: str


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.get("/thing")
    async def read() -> str:
        raise Refused("step-done", {"step": "2"}, command_id="c")

    @app.post("/thing")
    async def write(body: Body) -> str:
        raise RuntimeError("the password is hunter2")

    @app.put("/thing/{name}")
    async def other(name: str) -> str:
        raise Unavailable("send-again", retry_after=7, why=why("database", FULL))

    app.add_middleware(Edge, meters=Meters(CollectorRegistry()))
    return app


@pytest.fixture
async def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


def test_every_type_of_the_contract_is_there_with_its_status() -> None:
    assert {name: kind.status for name, kind in TYPES.items() if name in CONTRACT} == CONTRACT


def test_types_are_told_apart_by_their_names() -> None:
    assert all(name == kind.type for name, kind in TYPES.items())


async def test_a_problem_is_problem_json_with_its_reason(client: httpx.AsyncClient) -> None:
    answer = await client.get("/thing")
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "/problems/refused", "title": "The command has no effect", "status": 409, "detail": "step 2 is done already",
        "code": "step-done", "params": {"step": "2"}, "reason": "step 2 is done already", "command_id": "c",
    }  # fmt: skip


async def test_a_problem_is_told_in_the_language_of_the_caller(client: httpx.AsyncClient) -> None:
    answer = await client.get("/thing", headers={"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"})
    assert answer.headers["content-language"] == "zh"
    assert (answer.json()["title"], answer.json()["reason"]) == ("指令没有生效", "第 2 步已经完成")
    assert answer.json()["code"] == "step-done"
    assert (await client.get("/thing")).headers["content-language"] == "en"


async def test_what_nobody_foresaw_leaks_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.post("/thing", json={"word": "x"})
    assert answer.status_code == 500
    assert answer.json()["type"] == "/problems/internal"
    assert "hunter2" not in answer.text
    assert "RuntimeError" not in answer.text


async def test_a_wrong_field_is_named_and_its_value_is_not_repeated(client: httpx.AsyncClient) -> None:
    answer = await client.post("/thing", json={"word": 5, "secret-field": "hunter2"})
    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/invalid"
    assert {error["field"] for error in answer.json()["errors"]} == {"word", "secret-field"}
    assert "hunter2" not in answer.text


async def test_a_wrong_field_is_told_in_the_language_of_the_caller(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/thing", json={"word": 5}, headers={"Accept-Language": "zh"})).json()
    assert answer["errors"] == [{"field": "word", "code": "string-type", "params": {}, "reason": "须是文字"}]
    assert answer["detail"] == "word: 须是文字"


async def test_what_does_not_answer_is_told_in_the_language_of_the_caller(client: httpx.AsyncClient) -> None:
    answer = (await client.put("/thing/x", headers={"Accept-Language": "zh"})).json()
    assert answer["detail"] == "数据库的磁盘已满；请用同一个键原样再发一次"
    assert (answer["code"], answer["params"]) == ("send-again", {"why": "the disk of the database is full"})


async def test_an_unknown_path_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nothing")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


async def test_a_method_that_does_not_apply_names_all_that_do(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/thing")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"


async def test_unavailable_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    answer = await client.put("/thing/x")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")


def test_unauthenticated_names_the_scheme() -> None:
    assert problems.response(Unauthenticated()).headers["www-authenticate"].startswith("Bearer")


def test_a_detail_with_a_lone_surrogate_is_served() -> None:
    body = problems.response(Invalid(("\ud800\u202e", Wrong("empty")))).body
    assert json.loads(bytes(body))["errors"] == [
        {"field": "??", "code": "empty", "params": {}, "reason": "it may not be empty"}
    ]


def test_only_some_of_many_faults_are_listed() -> None:
    assert len(Invalid(*[(str(n), Wrong("empty")) for n in range(100)]).errors("en")) == 20


def test_extra_fields_stand_beside_the_detail() -> None:
    body = problems.response(Stale("moved on", command_id="c")).body
    assert json.loads(bytes(body))["command_id"] == "c"
