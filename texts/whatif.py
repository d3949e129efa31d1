"""The assumptions of a what-if and the names of its figures, each as (Chinese, English)."""

from typing import Final

SIDE_WORDS: Final[dict[str, tuple[str, str]]] = {
    "happened": ("实际", "happened"),
    "control": ("对照", "control"),
    "whatif": ("假如", "what-if"),
}
DIMENSION_WORDS: Final[dict[str, tuple[str, str]]] = {
    "total": ("合计", "total"),
    "level": ("层级", "level"),
    "company": ("物业", "company"),
    "category": ("类别", "category"),
}
NAMED_WORDS: Final[dict[str, tuple[str, str]]] = {
    "late": ("超时", "late"),
    "escalations": ("提级", "escalated by"),
    "highest": ("最高到", "highest level"),
    "refused": ("被拒", "refused"),
    "held": ("用时", "time held by"),
}
HOLDERS: Final[dict[str, str]] = {"operator": "物业", "third_party": "第三方", "nobody": "无人"}

ASSUMPTIONS: Final[tuple[tuple[str, str], ...]] = (
    (
        "人们在同样的时刻做同样的事:每条记录在案的操作,按服务器收到它的时刻原样再给一次。没有人因为时限不同而加快或放慢。",
        ("People act at the same moments and say the same: every recorded command is given again when the server had it. "
        "Nobody hurries or slackens because the limits are others."),
    ),
    (
        "没有系统故障:到期后,系统按规则的宽限准时动作。实际情况可能有故障,因此另列“对照”:原规则、无故障;影响 = 假如 − 对照。",
        ("There are no outages: the clock acts at every deadline plus the grace of the policy. What happened may hold "
        "outages, so the control stands beside it: the same rules without them. The effect is what-if less control."),
    ),
    (
        "已结案的看到实际结案为止,未结案的看到读取记录为止;此后的事不推测,届时未结的计为“未结”。",
        ("A closed issue is looked at until it really closed, an open one until its history was read; nothing is guessed "
        "beyond, and what is open then is counted as open."),
    ),
    (
        "换上另一套规则时,记录中的“变更规则”不再执行;换上另一套日历时,记录中的“公布日历”不再执行。",
        ("Where another policy is put in, recorded changes of policy are left out; where other calendars are put in, "
        "recorded publications are."),
    ),
    (
        "操作不再核对当事人看到的版本号(编号会不同);当时因版本过时被拒的操作不再给出。",
        ("The version that somebody had seen is not checked, since events are numbered otherwise; commands that were "
        "refused as stale are not given again."),
    ),
    (
        "不合另一套规则的操作会被拒绝且不起作用,按原因计数;接口预先拒绝的操作没有留下记录,这里也没有。",
        ("A command that does not fit the other rules is refused and has no effect, counted by reason; what the API "
        "refused beforehand left no record and is not here."),
    ),
    (
        "延期申请落在届时正在计时的时限上;方案、预约和复查的日期照旧。地点、物业和承办照报告时的登记;规则用于所选的全部诉求,不问它原本适用哪里。",
        ("A request for more time falls on the limit that runs then; dates of plans, appointments and reviews stay. Places "
        "and operators are those of the report; the policy is put on every issue chosen, wherever it would be bound."),
    ),
    (
        "超时 = 亮红灯。时长从到期起按自然时间计,到补做、办结、换人、重办、放宽或结案为止;提级不终止它。",
        ("Late is a red light. Its length runs on the wall clock from the limit until the milestone is reached after all, "
        "the work is completed, handed over, begun anew, given more time or closed; a climb does not end it."),
    ),
    (
        "各物业只计由物业牵头期间的到期、超时、提级和用时;以后各级的超时不算在物业头上。",
        ("A company is judged on what fell due, was late, climbed and took time while its level led; what the levels above "
        "were late with is not counted against it."),
    ),
)  # fmt: skip
