"""The shapes of answers, for the OpenAPI document; `views` fills them."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from domain.vocabulary import Assessment, Category, CloseKind, Level, Satisfaction, Status


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PolicyView(Answer):
    """The policy that the issue is pinned to."""

    id: str
    version: int
    digest: str


class NextView(Answer):
    """Who must do what by when."""

    milestone: str
    due: datetime
    org: str | None
    clause: str


class ClosedView(Answer):
    """How the issue ended."""

    kind: CloseKind
    satisfaction: Satisfaction


class IssueView(Answer):
    """An issue as it stands; no personal data in it."""

    id: str
    number: str
    status: Status
    level: Level
    handler: str
    version: int
    policy: PolicyView
    next: NextView | None
    closed: ClosedView | None
    lead: str
    compound: str
    category: Category
    urgent: bool
    assessment: Assessment | None
    overdue: bool
    opened_at: datetime


class TakenView(IssueView):
    """An issue that was handed in, with the code that opens it to its reporter."""

    tracking_code: str
