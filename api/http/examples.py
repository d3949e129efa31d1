"""The examples of request bodies in the OpenAPI document; a test parses each one as the API does.

The example of an answer is the attribute `example` of its class.
"""

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
    "object": {"reason": "没有人来过"},
    "withdraw": {"reason": "自己修好了"},
    "confirm": {"outcome": "solved", "satisfaction": "satisfied", "comment": "很快"},
    "follow": {},
    "unfollow": {},
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
    "complete": {"answer": "换了阀门,试水一小时不漏", "evidence": ["5f0c1e7b2d9a4c3f" * 4]},
    "refer": {"service": "119", "receipt": "20261121-007"},
    "escalate": {"reason": "需要社区协调"},
    "sit": {"note": "双方到场", "parties": ["501", "401"]},
    "redispatch": {"handler": "demo-enforcement", "reason": "需要执法"},
    "return": {"reason": "未修好", "to": "property"},
    "supervise": {"note": "请今天完成"},
    "instruct": {"text": "先停水再施工"},
    "grant": {"what": "extend"},
    "deny": {"what": "extend", "reason": "理由不足"},
    "rule": {"upheld": True, "handler": "demo-enforcement", "reason": "确属执法"},
    "adopt": {"issue": "yd3tqvzv5kq3oq6tbi3wq2jmsy"},
    "merge": {"into": "yd3tqvzv5kq3oq6tbi3wq2jmsy"},
    "split": {"reason": "不是同一盏灯"},
    "reject": {"reason": "不属受理范围"},
    "shelve": {"reason": "待维修资金"},
    "correct": {"note": "类别有误", "category": "drain"},
    "change_policy": {"policy": "12345", "reason": "转为热线件"},
    "calendar_published": {
        "calendar": {"year": 2027, "version": 1, "off": ["2027-01-01"], "on": [], "source": "国务院办公厅"}
    },
    "directory_changed": {},
}
PHONE: Final = {"phone": "138 0000 0000"}
PROOF: Final = {**PHONE, "code": "041592"}
WHAT_IF: Final = {"policy": "52022", "query": "category=leak since=2026-11-01"}
REFUSED: Final[dict[str, Any]] = {
    "type": "/problems/refused", "title": "The command has no effect", "status": 409,
    "detail": "arrive comes after accept: nobody has accepted the issue yet", "code": "accept-first", "params": {"command": "arrive"},
    "reason": "arrive comes after accept: nobody has accepted the issue yet",
}  # fmt: skip
