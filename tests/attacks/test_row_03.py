"""An officer of another community or street finds no issue of this one on any route."""

from support.system import System

OFFICERS = (
    ("oc1", "community", "other-community"), ("os1", "street", "other-street"), ("oa1", "auditor", "other-street"),
    ("om1", "admin", "other-street"), ("e1", "department", "demo-enforcement"), ("v1", "volunteer", "demo-volunteers"),
)  # fmt: skip
COMMANDS = {
    "supervise": {}, "instruct": {"text": "x"}, "return": {"reason": "x"}, "escalate": {"reason": "x"}, "grant": {},
    "reject": {"reason": "x"}, "shelve": {"reason": "x"}, "change_policy": {"policy": "demo", "reason": "x"},
}  # fmt: skip


async def test_row_03_officers_of_elsewhere_find_nothing(system: System) -> None:
    taken = await system.report()
    for person, role, org in OFFICERS:
        who = system.token(person, role, org)  # type: ignore[arg-type]
        for path in ("", "/next", "/timeline"):
            assert (await system.get(f"/v1/issues/{taken['id']}{path}", who)).status == 404, (role, path)
        for command, body in COMMANDS.items():
            answer = await system.send(taken["id"], command, who, **body)
            assert answer.status == (403 if role == "auditor" else 404), (
                role,
                command,
            )  # auditors give no commands at all
        listed = await system.get("/v1/issues", who, limit=200)
        assert taken["id"] not in [item["id"] for item in listed["items"]]
    for own in (system.community, system.street):
        assert (await system.get(f"/v1/issues/{taken['id']}", own)).status == 200
