"""Five reported cases as data: who did what when, played by the demo in seconds and by the tests in their own time.

Each step has two times: `at`, in minutes after the first report, as the case goes under its district's own pack; and
`demo`, in seconds, as it goes under the pack `demo`. Bodies are those of the API, but for a few values that are only
known when the story is played: these stand in them as `Moment`, `Org` and `Reported`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from domain.vocabulary import Category

Who = Literal["resident", "property", "community", "street", "volunteer"]

HOUR: Final = 60
DAY: Final = 24 * HOUR


@dataclass(frozen=True)
class Moment:
    """A time in a body: `at` minutes after the first report, or in the demo `demo` seconds."""

    at: float
    demo: float


@dataclass(frozen=True)
class Org:
    """The code of the organisation that plays this part."""

    who: Who


@dataclass(frozen=True)
class Reported:
    """The id of the story's n-th report, from 0."""

    n: int


@dataclass(frozen=True)
class Step:
    """One command, to the story's report `to`; command ``report`` makes that report."""

    at: float
    demo: float
    who: Who
    command: str
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    to: int = 0


@dataclass(frozen=True)
class Stage:
    """Where a story is played, and the code of the organisation behind each part."""

    compound: str
    orgs: Mapping[Who, str]


@dataclass(frozen=True)
class Story:
    """One case. `starts` is the weekday (Monday is 0) and time in Shanghai at which its own time begins."""

    id: int
    title: str
    place: str
    category: Category
    policy: str
    starts: tuple[int, str]
    own: Stage
    demo: Stage
    steps: tuple[Step, ...]

    @property
    def reports(self) -> int:
        """How many reports there are; every one but the first is joined to the first."""
        return sum(step.command == "report" for step in self.steps)


DEMO: Final = Stage(
    "demo",
    {
        "property": "demo-property",
        "community": "demo-community",
        "street": "demo-street",
        "volunteer": "demo-volunteers",
    },
)
"""The compound for trying things out."""
_DEMO_SOCIETY: Final = Stage("demo-society", {**DEMO.orgs, "property": "demo-service-society"})
"""The same community and street, but the operator of this compound is the community itself."""


def filled(
    body: Mapping[str, Any], stage: Stage, reported: Sequence[str], tell: Callable[[Moment], str]
) -> dict[str, Any]:
    """The body with the values that are known now: `reported` holds the issues' ids, `tell` puts a time into words."""

    def fill(value: Any) -> Any:
        match value:
            case Moment():
                return tell(value)
            case Org(who=who):
                return stage.orgs[who]
            case Reported(n=n):
                return reported[n]
            case Mapping():
                return {key: fill(each) for key, each in cast("Mapping[str, Any]", value).items()}
            case list():
                return [fill(each) for each in cast("list[Any]", value)]
            case _:
                return value

    return {key: fill(value) for key, value in body.items()}


LEAK: Final = Story(
    id=1,
    title="27 分钟修好的漏水",
    place="宁都 嘉福蓝湾铭著",
    category="leak",
    policy="12345",
    starts=(0, "19:50"),
    own=Stage(
        "jiafu-lanwan-mingzhu",
        {"property": "jiafu-lanwan-mingzhu-property", "community": "wuxian-community", "street": "ningdu-county"},
    ),
    demo=DEMO,
    steps=(
        Step(0, 0, "resident", "report", {
            "description": "厨房吊顶一直滴水,楼上没人,快流到客厅了。", "location": "厨房", "urgent": True,
            "channel": "wechat",
        }),
        Step(2, 2, "property", "accept", {"note": "维修工马上到"}),
        Step(3, 3, "property", "contact", {"note": "已通电话,请先挪开家电"}),
        Step(9, 5, "property", "arrive", {"assessment": "minor", "note": "楼上水管接头松脱"}),
        Step(12, 7, "property", "mitigate", {"note": "已关楼上总阀,不再滴水"}),
        Step(27, 11, "property", "complete", {"answer": "接头已更换,试水不漏", "evidence": ["photo-leak-1"]}),
        Step(40, 14, "resident", "confirm", {"outcome": "solved", "satisfaction": "satisfied", "comment": "很快"}),
    ),
)  # fmt: skip

DRAIN: Final = Story(
    id=2,
    title="堵了三年的下水道",
    place="南通 东方花苑",
    category="drain",
    policy="52022",
    starts=(0, "09:00"),
    own=Stage(
        "dongfang-huayuan",
        {
            "property": "xinqiao-beicun-society",
            "community": "xinqiao-beicun",
            "street": "chengdong-street",
            "volunteer": "xinqiao-beicun-volunteers",
        },
    ),
    demo=_DEMO_SOCIETY,
    steps=(
        Step(0, 0, "resident", "report", {
            "description": "楼顶下水道堵了三年多,墙都渗水,外面要1500元。", "location": "楼顶", "channel": "visit",
        }),
        # Nobody accepts. The operator is the community, so the climb goes past it.
        Step(35, 13, "street", "accept", {"note": "街道牵头"}),
        Step(40, 15, "street", "return", {"reason": "服务社自己能办,退回重办"}),
        Step(45, 17, "community", "redispatch", {"handler": Org("volunteer"), "reason": "请志愿者来疏通,不收费"}),
        Step(47, 19, "volunteer", "accept", {"note": "带工具过去"}),
        Step(50, 21, "volunteer", "arrive", {"assessment": "minor"}),
        Step(75, 27, "volunteer", "assess", {"assessment": "complex", "reason": "堵点在转弯处,要分段拆开"}),
        Step(80, 30, "volunteer", "plan", {"steps": [
            {"title": "拆开检查口,分段疏通", "due": Moment(150, 36), "owner": Org("volunteer")},
            {"title": "通水试验,处理渗水墙面", "due": Moment(200, 40), "owner": Org("volunteer")},
        ]}),
        Step(140, 33, "volunteer", "step_done", {"step": 1}),
        Step(190, 35, "volunteer", "step_done", {"step": 2}),
        Step(195, 36, "volunteer", "answer", {"text": "疏通了,没有收费;以后每季度清一次落水口"}),
        Step(196, 38, "volunteer", "complete", {"evidence": ["photo-drain-before", "photo-drain-after"]}),
        Step(260, 42, "resident", "confirm", {"outcome": "solved", "satisfaction": "satisfied"}),
    ),
)  # fmt: skip

ANIMALS: Final = Story(
    id=3,
    title="三件并一件的流浪猫狗",
    place="梁山 运河花园",
    category="animals",
    policy="12345",
    starts=(2, "10:00"),
    own=Stage(
        "yunhe-huayuan",
        {"property": "yunhe-huayuan-property", "community": "yunhe-community", "street": "shuibo-street"},
    ),
    demo=DEMO,
    steps=(
        Step(0, 0, "resident", "report", {
            "description": "流浪猫狗越来越多,到处是粪便,还有人投喂。", "location": "中心花园", "channel": "visit",
        }),
        Step(25, 1, "resident", "report", {"description": "草坪上全是狗粪,孩子不敢下楼。"}, to=1),
        Step(95, 2, "resident", "report", {"description": "半夜猫叫,车库里有人投喂。", "location": "车库"}, to=2),
        Step(100, 3, "community", "adopt", {"issue": Reported(1)}),
        Step(102, 3.5, "community", "adopt", {"issue": Reported(2)}),
        Step(120, 4, "property", "accept", {"note": "与网格员一起上门"}),
        Step(150, 4.5, "property", "contact", {"note": "楼栋群里已回应三位居民"}),
        Step(160, 5, "property", "schedule", {"time": Moment(DAY + 5 * HOUR, 12), "note": "周四入户"}),
        Step(DAY + 4 * HOUR, 7, "property", "arrive", {"assessment": "complex", "note": "楼栋管家到场"}),
        Step(DAY + 4 * HOUR + 5, 7.5, "community", "comment", {"text": "网格员同去,与投喂居民谈妥"}),
        Step(DAY + 6 * HOUR, 9, "property", "plan", {"steps": [
            {"title": "清理粪便,全面消杀", "due": Moment(2 * DAY + 8 * HOUR, 13), "owner": Org("property")},
            {"title": "猫狗送宠物医院检疫、绝育", "due": Moment(5 * DAY + 8 * HOUR, 15), "owner": Org("community")},
            {"title": "定点喂养,立牌公示", "due": Moment(7 * DAY, 17), "owner": Org("property")},
        ]}),
        Step(2 * DAY + 6 * HOUR, 11, "property", "step_done", {"step": 1}),
        Step(5 * DAY + 2 * HOUR, 12, "community", "comment", {"text": "宠物医院已接走"}),
        Step(5 * DAY + 3 * HOUR, 12.5, "property", "step_done", {"step": 2}),
        Step(6 * DAY + 2 * HOUR, 13.5, "property", "step_done", {"step": 3}),
        Step(6 * DAY + 3 * HOUR, 14.5, "property", "answer", {"text": "公示栏答复:猫狗已送宠物医院,定点喂养"}),
        Step(6 * DAY + 4 * HOUR, 15.5, "property", "complete", {"evidence": ["photo-notice-board"]}),
        # Nobody rates it: it closes by itself, as not rated.
    ),
)  # fmt: skip

PARKING: Final = Story(
    id=4,
    title="一百万、两个停车场",
    place="巴中 桂花街",
    category="parking",
    policy="12345",
    starts=(0, "19:00"),
    own=Stage(
        "guihua-jie",
        {"property": "guihua-jie-property", "community": "huifengting-community", "street": "huifeng-street"},
    ),
    demo=DEMO,
    steps=(
        Step(0, 0, "resident", "report", {
            "description": "摊位占道,下班根本没处停车。", "location": "临街一侧", "channel": "hotline",
        }),
        Step(14 * HOUR, 3, "property", "accept"),
        Step(15 * HOUR, 4, "property", "contact", {"note": "约了三户居民一起看现场"}),
        Step(16 * HOUR, 6, "property", "arrive", {"assessment": "big", "note": "缺三百多个车位,物业解决不了"}),
        Step(17 * HOUR, 9, "community", "accept", {"note": "社区牵头,列入联席会议"}),
        Step(2 * DAY + 20 * HOUR, 12, "community", "sit", {
            "note": "联席会议:议题经党支部审核,建议街道统筹资金", "parties": ["业委会", "物业", "商户", "执法"],
        }),
        Step(2 * DAY + 21 * HOUR, 14, "community", "escalate", {"reason": "要用一百万元,社区定不了"}),
        Step(3 * DAY + 14 * HOUR, 16, "street", "accept", {"note": "街道牵头"}),
        Step(6 * DAY + 14 * HOUR, 17.5, "property", "plan", {"steps": [
            {"title": "一百万元到位", "due": Moment(27 * DAY + 23 * HOUR, 28), "owner": Org("street")},
            {"title": "一号停车场开工并清理摊位", "due": Moment(48 * DAY + 23 * HOUR, 32), "owner": Org("community")},
            {"title": "二号停车场,两处共三百多个车位", "due": Moment(69 * DAY + 23 * HOUR, 70 * 86400),
             "owner": Org("property")},
        ]}),
        Step(7 * DAY + 14 * HOUR, 19, "street", "grant", {"what": "plan", "note": "同意,分三步"}),
        Step(9 * DAY + 14 * HOUR, 20, "street", "answer", {"text": "方案已公示:建两个停车场,三百多个车位"}),
        *(
            Step(day * DAY + 14 * HOUR, 20 + day / 20, "community", "comment", {"text": f"第 {day} 天:按方案推进"})
            for day in (14, 20)
        ),
        Step(25 * DAY + 14 * HOUR, 23, "property", "step_done", {"step": 1, "note": "资金到账"}),
        *(
            Step(day * DAY + 14 * HOUR, 23 + day / 20, "community", "comment", {"text": f"第 {day} 天:按方案推进"})
            for day in (31, 37, 43)
        ),
        # The second step is two days late, and shown red until it is done.
        Step(50 * DAY + 14 * HOUR, 39, "property", "step_done", {"step": 2, "note": "摊位清完,晚了两天"}),
        *(
            Step(day * DAY + 14 * HOUR, 38 + day / 40, "community", "comment", {"text": f"第 {day} 天:按方案推进"})
            for day in (56, 62)
        ),
        Step(67 * DAY + 14 * HOUR, 42, "property", "step_done", {"step": 3, "note": "三百多个车位"}),
        Step(68 * DAY + 14 * HOUR, 44, "property", "complete", {"evidence": ["photo-lot-1", "photo-lot-2"]}),
        Step(69 * DAY, 48, "resident", "confirm", {"outcome": "solved", "satisfaction": "basically"}),
    ),
)  # fmt: skip

BOTTLE: Final = Story(
    id=5,
    title="楼上扔下的啤酒瓶",
    place="两江 金祥",
    category="falling_objects",
    policy="12345",
    starts=(5, "20:30"),
    own=Stage(
        "jinxiang",
        {"property": "jinxiang-property", "community": "jinxiang-community", "street": "renhe-street"},
    ),
    demo=DEMO,
    steps=(
        Step(0, 0, "resident", "report", {
            "description": "楼上扔下啤酒瓶,差点砸到孩子!", "location": "单元门口", "urgent": True, "channel": "phone",
        }),
        Step(1, 1, "property", "refer", {"service": "110", "note": "值班员已报警"}),
        Step(2, 2, "resident", "report", {
            "description": "高空抛物摄像头报警", "location": "单元门口", "urgent": True, "channel": "device",
        }, to=1),
        Step(3, 3, "property", "accept", {"note": "保安赶往现场"}),
        Step(4, 4, "community", "adopt", {"issue": Reported(1)}),
        Step(5, 5, "property", "contact", {"note": "家长和孩子无恙"}),
        Step(9, 6, "property", "arrive", {"assessment": "minor", "note": "封存录像"}),
        Step(12, 8, "property", "mitigate", {"note": "单元门口已围挡"}),
        Step(22, 9, "property", "answer", {"text": "录像已封存并交派出所;加装防护网,逐户提醒"}),
        Step(55, 10.5, "property", "refer", {"service": "110", "receipt": "回执-001", "note": "派出所已受理"}),
        Step(60, 12, "property", "complete", {
            "kind": "referred", "evidence": ["footage-camera-1", "police-receipt-001"],
            "note": "由派出所处理;防护网三日内装好",
        }),
        # Nobody rates it: it closes by itself, as referred.
    ),
)  # fmt: skip

STORIES: Final[tuple[Story, ...]] = (LEAK, DRAIN, ANIMALS, PARKING, BOTTLE)

NOBODY: Final = Story(
    id=6,
    title="没有人管的路灯",
    place="体验小区",
    category="facility",
    policy="demo",
    starts=(0, "09:00"),
    own=DEMO,
    demo=DEMO,
    steps=(Step(0, 0, "resident", "report", {"description": "楼道灯坏了一个星期,没有人管。", "location": "2幢1单元"}),),
)
"""Made up: what an issue does by itself when nobody acts."""
