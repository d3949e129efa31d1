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
Drop = Literal["rejected", "merged"]
"""How staff drop an issue: it is none, or an older one has taken it in. Its residents may object."""
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
Request = Literal["extend", "plan", "pause", "objection"]
"""Requests that a higher level may grant or deny; an objection is a resident's."""
Matter = Literal["extend", "plan", "pause", "objection", "decline", "size"]
"""Matters on which somebody above must rule: the requests, a decline, and a lead that the handler's own act moved."""
Uncounted = Literal["own_side", "unverified"]
"""Why an outcome and a rating do not count: the resident belongs to an organisation that acted in the issue, or decides
after the reporter and joined without a verified phone."""
LegalRoute = Literal["arbitration", "administrative", "judicial"]
"""The ways that stay open to a resident whose matter was not settled (People's Mediation Law, article 26)."""
Stops = Literal["all", "work", "nothing", "dropped"]
"""Which clocks a pause stops: all; those of the work, which are all but accept, contact and arrive; or none. While an issue
was dropped, those of rulings stood still as well."""
Service = Literal["110", "119", "120", "122"]
"""Emergency services: police, fire, ambulance, traffic police."""
Channel = Literal["web", "phone", "wechat", "visit", "hotline", "staff", "device"]

LEVELS: Final[tuple[Level, ...]] = get_args(Level)
LEGAL_ROUTES: Final[tuple[LegalRoute, ...]] = get_args(LegalRoute)
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
ROLES: Final[tuple[Role, ...]] = get_args(Role)
CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)
ASSESSMENTS: Final[tuple[Assessment, ...]] = get_args(Assessment)
DROPS: Final[tuple[Drop, ...]] = get_args(Drop)
