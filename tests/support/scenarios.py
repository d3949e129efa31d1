"""Scenarios of the golden histories: every command, a climb through all levels, a pause, an outage.

A step is (seconds to wait before it, command, who, body); the times in bodies are seconds after the start.
"""

from typing import Any

from support.completions import ANSWER

STAFF = {"person": "p1", "role": "property", "org": "demo-property"}
COMMUNITY = {"person": "c1", "role": "community", "org": "demo-community"}
STREET = {"person": "s1", "role": "street", "org": "demo-street"}
ADMIN = {"person": "m1", "role": "admin", "org": "demo-street"}
OPERATOR = {"person": "operator", "role": "admin", "org": "demo-street"}
"""By whom the installation tells an issue what follows from another one."""
VOLUNTEER = {"person": "v1", "role": "volunteer", "org": "demo-volunteers"}
RESIDENT = {"person": "anonymous", "role": "resident"}
NEIGHBOUR = {"person": "r-neighbour", "role": "resident"}
CROSSED = {"person": "p1", "role": "street", "org": "demo-street"}
STRANGER = {"person": "op1", "role": "property", "org": "other-property"}

Step = tuple[float, str, dict[str, Any], dict[str, Any]]

YOUNGER = {"person": "r-neighbour", "since": "2026-11-01T00:00:00.000Z", "issue": "younger", "reported": True}
"""Who reported the younger issue of a merge."""
CALENDAR_2027 = {"year": 2027, "version": 1, "off": ["2027-01-01"], "on": [], "source": "a test's own"}

NEXT_PLACE = {
    "compound": "demo", "community": "demo-community", "street": "demo-street", "operator": "other-property",
    "operator_kind": "company", "name": "示范小区",
}  # fmt: skip
"""The place of the golden issues once another company has its contract."""

SCENARIOS: dict[str, list[Step]] = {
    "standard": [
        (0, "accept", STAFF, {"note": "马上到"}),
        (0.3, "arrive", STAFF, {"assessment": "minor"}),
        (0.3, "complete", STAFF, {"answer": ANSWER, "evidence": ["photo-1"]}),
        (0.3, "confirm", RESIDENT, {"outcome": "solved", "satisfaction": "satisfied", "comment": "很快"}),
    ],
    "nobody": [
        (47, "comment", RESIDENT, {"text": "还是没人来"}),
        (0, "attach", RESIDENT, {"digest": "0" * 64}),
        (0, "withdraw", RESIDENT, {"reason": "自己修了"}),
    ],
    "refused": [
        (0, "arrive", STAFF, {}),
        (0, "accept", STRANGER, {}),
        (0, "confirm", RESIDENT, {"outcome": "solved", "satisfaction": "satisfied"}),
        (0, "no_such_command", STAFF, {}),
        (0, "accept", STAFF, {"nonsense": 1}),
        (0, "reject", COMMUNITY, {"reason": "不属实"}),
        (0, "object", RESIDENT, {"reason": "属实"}),
        (0, "deny", STREET, {"what": "objection", "reason": "看过,不属实"}),
    ],
    "asked": [
        (0, "accept", STAFF, {}),
        (0, "contact", STAFF, {"note": "已通话"}),
        (0, "ask", STAFF, {"question": "几楼?"}),
        (0.5, "supply", RESIDENT, {"text": "五楼"}),
        (0, "assign", STAFF, {"person": "p2"}),
        (0, "schedule", STAFF, {"time": 3600}),
        (0, "attempt", STAFF, {"note": "没人在家"}),
        (0, "urge", RESIDENT, {"text": "快点"}),
        (0, "arrive", STAFF, {}),
        (0, "assess", STAFF, {"assessment": "minor"}),
        (0, "mitigate", STAFF, {"note": "关了阀门"}),
        (0, "complete", STAFF, {"kind": "partly", "answer": ANSWER}),
        (0, "reopen", RESIDENT, {"reason": "还在漏"}),
        (0, "accept", STAFF, {}),
        (0, "complete", STAFF, {"answer": ANSWER}),
        (0, "confirm", RESIDENT, {"outcome": "not", "satisfaction": "dissatisfied"}),
        (0, "accept", STAFF, {}),
        (0, "complete", STAFF, {"answer": ANSWER}),
        (0, "confirm", RESIDENT, {"outcome": "solved", "satisfaction": "basically"}),
    ],
    "planned": [
        (0, "accept", STAFF, {}),
        (0, "arrive", STAFF, {"assessment": "complex"}),
        (0, "plan", STAFF, {"steps": [{"title": "报价", "due": 3}, {"title": "施工", "due": 20 * 86400}]}),
        (0, "grant", COMMUNITY, {"what": "plan"}),
        (0, "step_done", STAFF, {"step": 1}),
        (0, "answer", STAFF, {"text": "下月施工"}),
        (0, "correct", COMMUNITY, {"note": "应为下水道", "category": "drain"}),
        (0, "complete", STAFF, {"answer": ANSWER}),
        (0, "confirm", RESIDENT, {"outcome": "partly", "satisfaction": "basically"}),
    ],
    "late-step": [
        (0, "accept", STAFF, {}),
        (0, "arrive", STAFF, {"assessment": "complex"}),
        (0, "plan", STAFF, {"steps": [{"title": "报价", "due": 3}, {"title": "施工", "due": 60}]}),
        (6, "supervise", COMMUNITY, {"note": "督办"}),
        (0, "instruct", COMMUNITY, {"text": "今天报价"}),
        (0, "complete", STAFF, {"answer": ANSWER}),
        (0, "confirm", RESIDENT, {"outcome": "explained", "satisfaction": "satisfied"}),
    ],
    "declined": [
        (0, "decline", STAFF, {"reason": "not_our_duty"}),
        (0, "rule", COMMUNITY, {"upheld": True, "reason": "确实不归物业"}),
        (0, "accept", COMMUNITY, {}),
        (0, "sit", COMMUNITY, {"note": "三方会商", "parties": ["业主", "物业"]}),
        (0, "complete", COMMUNITY, {"kind": "settled", "answer": "双方谈妥,当场写了协议"}),
        (0, "confirm", RESIDENT, {"outcome": "solved", "satisfaction": "basically"}),
    ],
    "sent-round": [
        (0, "decline", STAFF, {"reason": "unclear"}),
        (0, "rule", COMMUNITY, {"upheld": False}),
        (0, "merge", COMMUNITY, {"into": "another"}),
        (0, "split", COMMUNITY, {"reason": "不是一件事"}),
        (
            0,
            "redispatch",
            COMMUNITY,
            {"handler": "demo-volunteers", "handler_kind": "volunteers", "reason": "志愿者能办"},
        ),
        (0, "accept", VOLUNTEER, {}),
        (0, "escalate", COMMUNITY, {"reason": "涉及多部门"}),
        (0, "escalate", COMMUNITY, {"reason": "社区也办不了"}),
        (0, "accept", STREET, {"note": "接管"}),
        (0, "adopt", STREET, {"issue": "younger", "voices": [YOUNGER]}),
        (0, "split", OPERATOR, {"issue": "younger", "persons": [YOUNGER["person"]]}),
        (0, "return", STREET, {"reason": "重办"}),
        (0, "shelve", STREET, {"reason": "等资金"}),
        (0.5, "resume", STREET, {}),
        (0, "withdraw", RESIDENT, {}),
    ],
    "waited": [
        (0, "accept", STAFF, {}),
        (0, "wait", STAFF, {"reason": "parts", "review": 4}),
        (6, "extend", STAFF, {"reason": "配件晚到", "by": "5s"}),
        (0, "deny", COMMUNITY, {"reason": "不同意"}),
        (0, "extend", STAFF, {"reason": "配件晚到"}),
        (0, "grant", COMMUNITY, {}),
        (0, "refer", STAFF, {"service": "110", "receipt": "A1"}),
        (0, "complete", STAFF, {"kind": "referred", "answer": "已经报警,由派出所处理"}),
        (0, "confirm", RESIDENT, {"outcome": "solved", "satisfaction": "satisfied"}),
    ],
    "wished": [
        (0, "accept", STAFF, {}),
        (0, "arrive", STAFF, {"assessment": "minor"}),
        (0, "wait", STAFF, {"reason": "parts", "review": 3600}),
        (0, "grant", COMMUNITY, {"what": "pause"}),
        (0.5, "resume", STAFF, {}),
        (0, "ask", STAFF, {"question": "几楼?"}),
        (0, "object", RESIDENT, {"reason": "早就说过了"}),
        (0, "answer", STAFF, {"text": "正在处理"}),
        (0, "complete", STAFF, {"answer": ANSWER}),
        (0, "reopen", STAFF, {"reason": "填错了"}),
        (0, "escalate", STAFF, {"reason": "要社区出面"}),
        (0, "return", COMMUNITY, {"reason": "物业自己能办"}),
        (0, "complete", STAFF, {"answer": ANSWER}),
        (0, "confirm", RESIDENT, {"outcome": "solved", "satisfaction": "satisfied"}),
    ],
    "big": [
        (0, "accept", STAFF, {}),
        (0, "arrive", STAFF, {"assessment": "big"}),
        (0, "assess", COMMUNITY, {"assessment": "hard", "reason": "要动维修资金"}),
        (0, "calendar_published", ADMIN, {"calendar": CALENDAR_2027}),
        (0, "change_policy", ADMIN, {"policy": "12345", "reason": "换规则", "body": "12345"}),
        (0, "directory_changed", ADMIN, {"place": NEXT_PLACE, "handler_streets": ["demo-street"]}),
        (0, "follow", NEIGHBOUR, {}),
        (0, "adopt", STREET, {"issue": "younger"}),
        (0, "urge", NEIGHBOUR, {"text": "我也等着"}),
        (0, "unfollow", NEIGHBOUR, {}),
        (0, "merge", STREET, {"into": "older"}),
        (0, "withdraw", RESIDENT, {}),
    ],
    "again": [  # long enough for one continue-as-new where the server suggests it early
        *((0.2, "comment", STAFF, {"text": f"第{n}次"}) for n in range(12)),
        (0, "accept", STAFF, {}),
        (0, "arrive", STAFF, {"assessment": "minor"}),
        (0, "complete", STAFF, {"answer": ANSWER}),
        (0, "confirm", RESIDENT, {"outcome": "solved", "satisfaction": "satisfied"}),
    ],
    "outage": [  # the recorder locks the database after the first command, until after the first climb
        (0, "accept", STAFF, {}),
        (13, "comment", STAFF, {"text": "数据库停了"}),
        (0, "complete", STAFF, {"kind": "explained", "answer": ANSWER}),
        (0, "confirm", RESIDENT, {"outcome": "solved", "satisfaction": "satisfied"}),
    ],
    "silent": [
        (0, "accept", STAFF, {}),
        (0, "arrive", STAFF, {"assessment": "minor"}),
        (0, "complete", STAFF, {"answer": ANSWER}),
        (63, "", STAFF, {}),  # nothing is sent: the resident's silence closes it
    ],
    "signed": [
        (0, "accept", STAFF, {"note": "马上到"}),
        (0, "complete", STAFF, {"answer": "不是从接口来的"}),
        (0, "renew_code", RESIDENT, {}),
        (0, "escalate", COMMUNITY, {"reason": "两家争执"}),
        (0, "return", CROSSED, {"reason": "自己判自己"}),
        (0, "arrive", STAFF, {}),
        (0, "complete", STAFF, {"answer": ANSWER}),
        (0, "confirm", RESIDENT, {"outcome": "solved", "satisfaction": "satisfied"}),
    ],
}
UNSIGNED = {"signed": 1}
"""Scenario -> which of its commands, counted from 0, nobody has signed."""
OUTAGE = {"outage": (0.25, 13.5)}
"""Scenario -> when the database is locked and released, seconds after the report."""
