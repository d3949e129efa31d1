"""Failures of schemathesis's checks that are none here, since this API does not promise what they check.

Each exception is narrow: one check and one answer.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import IgnoredAuth, RejectedPositiveData

ACCEPTED: Final = ("2xx", "3xx", "401", "403", "404", "409", "412", "413", "429", "5xx")
"""What may come of a valid request. Beside what schemathesis takes: 412, since `If-Match` may name a version that is past,
and 413, since fields that are small enough each may be too large together."""
REJECTED: Final = ("400", "401", "403", "404", "405", "406", "409", "412", "413", "415", "422", "428", "429", "5xx")
"""What may come of an invalid one: an `If-Match` that names no version is 412, a body above the limit is never parsed."""

UNDONE: Final = ("404 Not Found", "422 Unprocessable Entity", "503 Service Unavailable")
"""What else than 401 and 403 refuses credentials that were made up."""

UNSAID: Final[Mapping[str, frozenset[str]]] = {
    # There is no such, or not for this caller: residents come by web or wechat, the other channels are for staff.
    "POST /v1/issues": frozenset({"compound", "category", "follows", "takes_up", "channel"}),
    "POST /v1/phones": frozenset({"phone"}),  # with the separators that people write
    "POST /v1/phones/verify": frozenset({"phone", "code"}),  # a code that was never sent
    "GET /v1/issues": frozenset({"cursor", "from", "until"}),
    "GET /v1/issues.csv": frozenset({"from", "until"}),
    "GET /v1/issues.xlsx": frozenset({"from", "until"}),
    "GET /v1/worklist": frozenset({"cursor"}),
    "GET /v1/access": frozenset({"cursor", "from", "until"}),  # RFC 3339 lets years be that have no UTC
    "GET /v1/audit/verdicts": frozenset({"query"}),  # a language of its own
    "GET /v1/audit/bundle": frozenset({"query"}),
    "GET /v1/audit/mining": frozenset({"query"}),
    "POST /v1/audit/whatif": frozenset({"query", "policy"}),  # TOML
    "GET /v1/audit/issues/{issue}/timeline": frozenset({"at"}),  # a number or a time
    "POST /v1/issues/{issue}/attachments": frozenset({"body"}),  # a picture that cannot be decoded
    "POST /v1/issues/{issue}/commands/adopt": frozenset({"issue"}),  # there is no such issue
    "POST /v1/issues/{issue}/commands/merge": frozenset({"into"}),
    "POST /v1/issues/{issue}/commands/redispatch": frozenset({"handler"}),
    "POST /v1/issues/{issue}/commands/rule": frozenset({"handler"}),
    "POST /v1/issues/{issue}/commands/change_policy": frozenset({"policy"}),
    "POST /v1/issues/{issue}/commands/extend": frozenset({"by"}),  # at most ten years, in every unit
    "POST /v1/issues/{issue}/commands/calendar_published": frozenset({"calendar"}),  # days of the year that it is for
}
"""Fields whose values a schema cannot tell from good ones, by operation."""


def is_failure(_: HookContext, failure: Failure, case: Case, response: Response) -> bool:
    """Whether a failure is one; the hook `filter_failure`."""
    if isinstance(failure, IgnoredAuth):
        # Whoever shows a tracking code learns nothing by guessing: a wrong one opens an issue that is not there. And with a
        # code instead of a token, a word for a key is invalid. A machine that has too much to do answers 503, before it has
        # found the issue whose code it is. What was asked for is not done in any of these cases.
        return not any(f"got `{answer}`" in failure.message for answer in UNDONE)
    if isinstance(failure, RejectedPositiveData) and response.status_code == 422:
        return not _is_meant(case.operation.label, json.loads(response.content))
    return True


def _is_meant(operation: str, problem: Mapping[str, Any]) -> bool:
    if problem["type"] == "/problems/idempotency-key-reused":
        return True
    unsaid = UNSAID.get(operation, frozenset())
    return all(
        each["field"] in unsaid
        # To a schema 2.0 is an integer; here nothing is guessed from what does not fit.
        or each["code"] in ("int-type", "int-from-float")
        # There alone is a body with fields of any name, of which a schema says nothing.
        or (operation == "POST /codec/decode" and each["code"] == "control-characters")
        for each in problem["errors"]
    )
