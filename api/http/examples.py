"""The examples of the OpenAPI document; a test reads every one of them as the API would."""

from collections.abc import Mapping
from typing import Any, Final

REPORT: Final[dict[str, Any]] = {
    "compound": "demo", "category": "leak", "urgent": False, "description": "厨房漏水", "location": "3幢2单元501",
    "channel": "web", "contact": {"name": "住户", "phone": "13800000000"},
}  # fmt: skip
COMMANDS: Final[Mapping[str, dict[str, Any]]] = {
    "comment": {"text": "已在路上"},
    "supply": {"text": "五楼501"},
    "urge": {"text": "还没有人来"},
    "withdraw": {"reason": "自己修好了"},
    "confirm": {"outcome": "solved", "satisfaction": "satisfied", "comment": "很快"},
    "renew_code": {},
    "reopen": {"reason": "又漏了"},
    "accept": {"note": "马上到"},
    "decline": {"reason": "not_our_duty", "note": "属于市政管网"},
    "assign": {"person": "p2", "note": "带上阀门"},
    "schedule": {"time": "2026-11-22T01:00:00.000Z"},
    "attempt": {"note": "敲门无人"},
    "contact": {"note": "已电话联系"},
    "arrive": {"assessment": "minor"},
    "assess": {"assessment": "complex", "reason": "要换立管"},
    "mitigate": {"note": "已关总阀"},
    "plan": {"steps": [{"title": "换立管", "due": "2026-11-25T08:00:00.000Z", "owner": "demo-property"}]},
    "step_done": {"step": 1},
    "answer": {"text": "周三完工"},
    "ask": {"question": "哪一户?"},
    "wait": {"reason": "parts", "review": "2026-11-28T08:00:00.000Z"},
    "resume": {"note": "配件已到"},
    "extend": {"reason": "等配件", "by": "2nd"},
    "complete": {"kind": "solved", "answer": "换了阀门", "evidence": ["photo-1"], "note": ""},
    "refer": {"service": "119", "receipt": "20261121-007"},
    "escalate": {"reason": "需要社区协调"},
    "sit": {"note": "双方到场", "parties": ["501", "401"]},
    "redispatch": {"handler": "demo-enforcement", "reason": "需要执法"},
    "return": {"reason": "未修好", "to": "property"},
    "supervise": {"note": "请今天完成"},
    "instruct": {"text": "先停水再施工"},
    "grant": {"what": "extension"},
    "deny": {"what": "extension", "reason": "理由不足"},
    "rule": {"upheld": True, "handler": "demo-enforcement", "reason": "确属执法"},
    "adopt": {"issue": "yd3tqvzv5kq3oq6tbi3wq2jmsy"},
    "merge": {"into": "yd3tqvzv5kq3oq6tbi3wq2jmsy"},
    "reject": {"reason": "不属受理范围"},
    "shelve": {"reason": "待维修资金"},
    "correct": {"note": "类别有误", "category": "drain"},
    "change_policy": {"policy": "12345", "reason": "转为热线件"},
    "calendar_published": {
        "calendar": {"year": 2027, "version": 1, "off": ["2027-01-01"], "on": [], "source": "国务院办公厅"}
    },
}
NEXT: Final[dict[str, Any]] = {
    "milestone": "accept", "due": "2026-11-21T08:00:10.000Z", "org": "demo-property", "clause": "accept",
}  # fmt: skip
ISSUE: Final[dict[str, Any]] = {
    "id": "yd3tqvzv5kq3oq6tbi3wq2jmsy", "number": "JS-7K2QF-0M3XA", "status": "dispatched", "level": "property",
    "handler": "demo-property", "version": 2,
    "policy": {"id": "demo", "version": 1, "digest": "5f0c1e7b2d9a4c3f8e6b7a1d2c3f4e5a"}, "next": NEXT, "closed": None,
    "lead": "demo-property", "compound": "demo", "category": "leak", "urgent": False, "assessment": None,
    "overdue": False, "opened_at": "2026-11-21T08:00:00.000Z",
}  # fmt: skip
TAKEN: Final[dict[str, Any]] = {**ISSUE, "tracking_code": "8J5ZC-0QK2M-VT7XD-3H9RA"}
COMMAND_ID: Final = "0d6f6a52-0f0e-5a0e-9a57-6f0f2f0f8b11"
APPLIED: Final[dict[str, Any]] = {
    "outcome": "applied", "command_id": COMMAND_ID, "issue": {**ISSUE, "status": "accepted", "version": 3},
}  # fmt: skip
QUEUED: Final[dict[str, Any]] = {"outcome": "queued", "command_id": COMMAND_ID}
RECEIPT: Final[dict[str, Any]] = {
    "outcome": "applied", "command_id": COMMAND_ID, "issue_id": "yd3tqvzv5kq3oq6tbi3wq2jmsy", "version": 3,
}  # fmt: skip
TIMELINE: Final[dict[str, Any]] = {
    "events": [
        {
            "seq": 3, "kind": "accepted", "at": "2026-11-21T08:00:04.120Z", "recorded_at": None,
            "actor": {"person": "p1", "role": "property", "org": "demo-property"}, "level": "property",
            "clause": "accept", "due": "2026-11-21T08:00:14.120Z", "was_due": "2026-11-21T08:00:10.000Z",
            "held": [{"holder": "operator", "org": "demo-property", "ms": 4120}], "command_id": COMMAND_ID,
            "data": {"note": "马上到"},
        }
    ],
    "minutes": [{"holder": "operator", "org": "demo-property", "ms": 4120, "minutes": 0.07}],
}  # fmt: skip
PAGE: Final[dict[str, Any]] = {"items": [ISSUE], "next_cursor": None}
ACCESS: Final[dict[str, Any]] = {
    "items": [
        {
            "at": "2026-11-21T08:04:00.000Z", "person": "p1", "role": "property", "org": "demo-property", "what": "phone",
            "issue": ISSUE["id"], "result": "shown", "address": "9f86d081884c7d65",
        }
    ],
    "next_cursor": None,
}  # fmt: skip
PHONE: Final = {"phone": "138 0000 0000"}
CODE_SENT: Final = {"valid_for": 300}
PROOF: Final = {**PHONE, "code": "041592"}
PROVEN: Final = {"token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJwaG9uZTo1ZjBjIn0.c2lnbmF0dXJl", "expires_in": 43_200}
PICTURE: Final = "5f0c1e7b2d9a4c3f" * 4
PICTURES: Final[dict[str, Any]] = {
    "items": [
        {
            "attachment": PICTURE, "kind": "image/jpeg", "size": 481_200,
            "actor": {"person": "p1", "role": "property", "org": "demo-property"}, "at": "2026-11-21T08:04:00.000Z",
        }
    ]
}  # fmt: skip
REFUSED: Final[dict[str, Any]] = {
    "type": "/problems/refused", "title": "The command has no effect", "status": 409,
    "detail": "arrive comes after accept: nobody has accepted the issue yet", "code": "not-now",
    "reason": "arrive comes after accept: nobody has accepted the issue yet",
}  # fmt: skip


_VERDICT: Final = {
    "holds": False, "issue": "yd3tqvzv5kq3oq6tbi3wq2jmsy", "runs": 1, "commands": 7, "events": 8, "erased": False,
    "root": "PNtX9LDjE0a7", "begun_at": "2026-11-21T08:00:00.000Z", "merged_into": None,
    "findings": [
        {"step": "rows", "issue": "yd3tqvzv5kq3oq6tbi3wq2jmsy", "where": "event 4",
         "what": "the row holds another event than the history leads to"}
    ],
}  # fmt: skip
_HEAD: Final = {
    "size": 1042, "root": "5f0c" * 16, "at": "2026-11-24T16:05:00.000Z",
    "note": "city.example/jiesu\n1042\n...\ntime 2026-11-24T16:05:00.000Z\n\n— city.example/jiesu ...\n",
}  # fmt: skip
_PROOF: Final = {
    "issue": "yd3tqvzv5kq3oq6tbi3wq2jmsy", "record": {"v": 1}, "salt": "a70b" * 16, "leaf": "91d2" * 16, "position": 7,
    "size": 1042, "root": _HEAD["root"], "proof": ["5f0c" * 16], "head": _HEAD["note"],
}  # fmt: skip
_DIFF: Final = {
    "issue": "yd3tqvzv5kq3oq6tbi3wq2jmsy", "same": True, "witnesses": ["archive", "sql"],
    "events": [{"seq": 1, "same": True, "archive": "reported 5f0c1e7b", "sql": "reported 5f0c1e7b"}], "rows": [],
}  # fmt: skip
AUDIT: Final[tuple[tuple[str, Any, str], ...]] = (
    ("head", _HEAD, "The head"),
    ("verdict", _VERDICT, "The verdict"),
    ("verdicts", {"items": [_VERDICT], "next_after": None}, "A page of verdicts"),
    ("proof", _PROOF, "The proof"),
    (
        "timeline",
        {"status": "accepted", "level": "property", "responsible": {"lead": "demo-property"}},
        "The issue then",
    ),
    ("diff", _DIFF, "The witnesses"),
)
"""Name of the route, example, what the answer is."""
WHAT_IF: Final = {"policy": "52022", "query": "category=leak since=2026-11-01"}
FIGURES: Final[dict[str, Any]] = {"issues": 12, "control": {"agreeing": 12, "differing": 0, "first": []}}
