"""The closed sets of values that commands, events and rows may hold.

The names are part of the public contract; people read the Chinese labels.
"""

from typing import Final, Literal, get_args

Role = Literal["resident", "property", "community", "street", "department", "volunteer", "auditor", "admin"]
Level = Literal["property", "community", "street"]
Scope = Literal["property", "community", "street", "issue"]
"""Where a clause applies: at one level of the ladder, or to the issue as a whole."""
Status = Literal[
    "dispatched", "accepted", "arrived", "planned", "answered", "completed", "suspended", "waiting", "closed"
]
Category = Literal[
    "leak", "drain", "elevator", "utilities", "facility", "parking", "noise", "sanitation", "greening", "animals",
    "falling_objects", "safety", "fees", "illegal_building", "ebike_charging", "common_income", "care",
    "owners_affairs", "dispute", "other",
]  # fmt: skip
Milestone = Literal["accept", "contact", "arrive", "assess", "sit", "plan", "answer", "handle", "act", "complete"]
Goal = tuple[Scope, str]
"""A scope and a milestone to be reached in it; on the wire with a colon between them."""
Assessment = Literal["minor", "complex", "big", "hard"]
Outcome = Literal["solved", "partly", "explained", "not"]
Rating = Literal["satisfied", "basically", "dissatisfied"]
"""The ratings that a resident may give; `Satisfaction` has *not rated* as well, for issues without a rating."""
Satisfaction = Literal["satisfied", "basically", "dissatisfied", "not_rated"]
CompletionKind = Literal["solved", "partly", "explained", "referred", "settled", "not_settled"]
CloseKind = Literal[
    "solved", "partly", "explained", "referred", "settled", "not_settled", "withdrawn", "rejected", "merged"
]
OperatorKind = Literal["company", "society", "community", "volunteers"]
HandlerKind = Literal["company", "society", "community", "volunteers", "street", "department"]
"""The kind of organisation that does the work: an operator of some kind, a community, a street or a department."""
Holder = Literal["operator", "resident", "community", "street", "department", "third_party", "nobody"]
"""The party for which time counts, since it had to act."""
DeclineReason = Literal["not_our_place", "not_our_duty", "duplicate", "needs_owners", "needs_authority", "unclear"]
WaitReason = Literal["parts", "weather", "access", "third_party", "department", "funds", "vote", "procurement"]
ClimbReason = Literal["deadline", "size", "hand", "transfers", "reopening", "recurrence", "ruling", "shelving"]
"""Why the lead moved up. The event `escalated` carries this reason as its clause; only for ``deadline`` it carries the
clause whose deadline passed."""
Request = Literal["extend", "plan", "pause"]
"""Requests that a higher level may grant or deny."""
Matter = Literal["extend", "plan", "pause", "decline", "size"]
"""Matters on which somebody above must rule: the requests, a decline, and a lead that the handler's own act moved."""
Stops = Literal["all", "work", "nothing"]
"""Which clocks a pause stops: all; those of the work, which are all but accept, contact and arrive; or none."""
Service = Literal["110", "119", "120", "122"]
"""Emergency services: police, fire, ambulance, traffic police."""
Channel = Literal["web", "phone", "wechat", "visit", "hotline", "staff", "device"]

LEVELS: Final[tuple[Level, ...]] = get_args(Level)
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
ROLES: Final[tuple[Role, ...]] = get_args(Role)
CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)
ASSESSMENTS: Final[tuple[Assessment, ...]] = get_args(Assessment)

LABELS: Final[dict[str, str]] = {
    "property": "物业", "community": "社区", "street": "街道", "resident": "居民", "department": "部门",
    "volunteer": "志愿者", "auditor": "审计", "admin": "管理员", "issue": "整件",
    "dispatched": "已派单", "accepted": "已签收", "arrived": "已到场", "planned": "已定方案", "answered": "已答复",
    "completed": "已办结", "suspended": "挂起", "waiting": "等待", "closed": "已结案",
    "leak": "漏水", "drain": "下水道", "elevator": "电梯", "utilities": "水电气暖", "facility": "设施",
    "parking": "停车", "noise": "噪声", "sanitation": "环境卫生", "greening": "绿化", "animals": "动物",
    "falling_objects": "高空抛物", "safety": "安全", "fees": "收费", "illegal_building": "违建",
    "ebike_charging": "电动车充电", "common_income": "公共收益", "care": "关爱", "owners_affairs": "业主事务",
    "dispute": "纠纷", "other": "其他",
    "accept": "签收", "contact": "联系", "arrive": "到场", "assess": "研判", "sit": "会商", "plan": "方案",
    "confirm": "确认", "update": "通报进展", "progress": "推进", "rule": "裁定", "step_done": "完成一步", "supply": "补充", "resume": "恢复",
    "answer": "答复", "handle": "处置", "act": "办理", "complete": "办结",
}  # fmt: skip
