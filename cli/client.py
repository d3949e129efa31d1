"""The HTTP client of the command line: requests that may be retried safely, and error messages of one line."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Literal, Self, cast

import httpx

from cli.errors import Failure
from cli.language import says
from cli.terminal import plain_line
from runtime.ports import reachable
from runtime.settings import Settings
from security.ids import typed
from texts.catalogue import Language

TIMEOUT: Final = 10.0
_SHEET_TIMEOUT: Final = 120.0
_SHEETS: Final = {"csv": "text/csv", "xlsx": "application/vnd.openxmlformats"}
_PAUSES: Final = (0.1, 0.3, 1.0, 2.0)
"""Seconds before each retry. A retry is safe, since it repeats the idempotency key of the first attempt."""
_LONGEST_PAUSE: Final = 5.0
_BUSY: Final = (429, 503)


class Refusal(Failure):
    """The API answered with an error: its HTTP status and problem document (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        super().__init__(_line(status, problem))


def base_url(settings: Settings) -> str:
    """The URL of this installation's API."""
    host = reachable(settings.api_host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.api_port}"


def new_key() -> str:
    """An idempotency key for one command."""
    return str(uuid.uuid4())


class Client:
    """Calls the API for one caller, with a bearer token or without any, who reads this language. It is a context manager."""

    def __init__(self, url: str, token: str | None = None, language: Language = "en") -> None:
        self.url: Final = url
        self._headers = {"Accept-Language": language} | ({"Authorization": f"Bearer {token}"} if token else {})
        # No proxy and no .netrc: the API is on this machine or on one that was named.
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def report(self, body: Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
        """Reports an issue. Returns its id, number, tracking code and, once known, its state."""
        return self._send("POST", "/v1/issues", key=key or new_key(), body=body)

    def command(
        self,
        issue: str,
        name: str,
        body: Mapping[str, Any] | None = None,
        *,
        code: str | None = None,
        key: str | None = None,
        version: int | None = None,
    ) -> dict[str, Any]:
        """Gives a command: ``{outcome, command_id, issue?}``. Raises Refusal with the API's reason."""
        extra = {} if version is None else {"If-Match": f'"{version}"'}
        path = f"/v1/issues/{_part(issue)}/commands/{_part(name)}"
        return self._send("POST", path, key=key or new_key(), body=body or {}, code=code, extra=extra)

    def issue(self, issue: str, code: str | None = None) -> dict[str, Any]:
        return self._send("GET", f"/v1/issues/{_part(issue)}", code=code)

    def timeline(self, issue: str, code: str | None = None) -> dict[str, Any]:
        """The issue's timeline: ``{events, ...}``, with the oldest event first."""
        return self._send("GET", f"/v1/issues/{_part(issue)}/timeline", code=code)

    def worklist(self, org: str) -> Iterator[dict[str, Any]]:
        """All open issues that the organisation leads or handles, in order of due time."""
        return self._pages("/v1/worklist", {"org": org})

    def sheet(self, form: Literal["csv", "xlsx"], query: Mapping[str, str]) -> bytes:
        """A file of issues or timelines, as it is to be written. Raises Refusal and Failure."""
        answer = self._answer("GET", f"/v1/issues.{form}", query=query, timeout=_SHEET_TIMEOUT)
        if answer.is_success and answer.headers.get("Content-Type", "").startswith(_SHEETS[form]):
            return answer.content
        raise _refusal(answer)

    def _pages(self, path: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            page = self._send("GET", path, query=query if cursor is None else {**query, "cursor": cursor})
            yield from page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def _send(self, method: str, path: str, **sent: Any) -> dict[str, Any]:
        """The JSON answer to a request, as `_answer`. Raises Refusal and Failure."""
        return _read(self._answer(method, path, **sent))

    def _answer(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        code: str | None = None,
        extra: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> httpx.Response:
        """The answer to a request. Retries on transport errors, 429 and 503. Raises Failure."""
        headers = {**self._headers, **(extra or {})}
        if key is not None:
            headers["Idempotency-Key"] = key
        if code is not None:
            headers["X-Tracking-Code"] = typed(code)
        for pause in (*_PAUSES, None):
            retry_after = 0.0
            with self._reached(last=pause is None):
                answer = self._http.request(method, path, json=body, params=query, headers=headers, timeout=timeout)
                if answer.status_code not in _BUSY or pause is None:
                    return answer
                retry_after = _retry_after(answer)
            time.sleep(max(pause or 0.0, retry_after))
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _reached(self, *, last: bool) -> Iterator[None]:
        """Raises Failure for a refused connection at once, and for other transport errors on the last attempt."""
        try:
            yield
        except (httpx.TransportError, httpx.InvalidURL, UnicodeError) as error:
            if isinstance(error, httpx.ConnectError):
                raise Failure(says("nobody-answers", url=self.url)) from None
            if last or not isinstance(error, httpx.TransportError):
                raise Failure(
                    says("no-answer", url=self.url, error=plain_line(error) or type(error).__name__)
                ) from None


def _part(text: str) -> str:
    """The text, for use as one segment of a path. Raises Failure if a character of it could change the path."""
    if not text or not text.isascii() or not text.replace("-", "").replace("_", "").isalnum():
        raise Failure(says("no-name", text=repr(plain_line(text)[:60])))
    return text


def _retry_after(answer: httpx.Response) -> float:
    seconds = answer.headers.get("Retry-After", "")
    return min(float(seconds), _LONGEST_PAUSE) if seconds.isascii() and seconds.isdigit() else 0.0


def _read(answer: httpx.Response) -> dict[str, Any]:
    content = _content(answer)
    if answer.is_success and content is not None:
        return content
    raise _refusal(answer)


def _refusal(answer: httpx.Response) -> Refusal:
    title = {"title": says("not-jiesu", host=answer.url.host)}
    return Refusal(answer.status_code, (None if answer.is_success else _content(answer)) or title)


def _content(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        plain: object = answer.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
    return cast("dict[str, Any]", plain) if isinstance(plain, dict) else None


def _line(status: int, problem: Mapping[str, Any]) -> str:
    """The message of an error: ``title: detail (refused, 409)``. If `detail` is missing, `reason` replaces it."""
    title = plain_line(problem.get("title") or says("went-wrong"))
    detail = plain_line(problem.get("detail") or problem.get("reason") or "")
    kind = str(problem.get("type", "")).rpartition("/")[2] or "error"
    text = says("problem", title=title, detail=detail) if detail and detail != title else title
    return f"{text} ({plain_line(kind)}, {status})"
