"""The words of docs/commands.md and docs/commands.zh-CN.md, which `support.commands_page` writes from the rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from domain.access import Capacity
from texts.catalogue import Language


@dataclass(frozen=True)
class Words:
    """What the page says around the rules; `{}` is where a list of words goes."""

    head: str
    groups: tuple[str, ...]
    columns: str
    who: Mapping[Capacity, str]
    always: str
    open: str
    but_not: str
    either: str
    between: str
    after: str
    given: str
    none: str
    one_of: str
    several: str
    text: str
    year: str
    time: str
    number: str
    boolean: str
    code: str
    limit: str


_ENGLISH: Final = """\
# Commands

[中文](commands.zh-CN.md)

For those who write programs against the API, and for whoever asks what may be done with an issue. A command is sent as
`POST /v1/issues/{id}/commands/NAME` with the fields as JSON and an `Idempotency-Key`; or as `jiesu do NAME ISSUE`. A command that
does not apply is refused in words (409), and leaves nothing behind.

- **Who.** *reporter*: the resident who reported it, by tracking code or phone, or who decides after him. *follower*: a resident
  who joined it or whose issue was merged into it; he rates once for each completion, before which he joined, and that closes
  nothing but what waited for him. *handler*: the organisation that does the work. *lead*: the one that answers for the issue now. *senior*: the community
  or street of the place, if its level is that of the lead or above. *chain*: operator, community and street of the place.
  *counter*: community or street, unless it does the work, for a resident who has neither code nor phone. Whoever acted on the
  property side decides nothing from above, and whoever acted at all rates nothing.
- **When.** The statuses in which the command applies; *open* is every status before `completed`, *always* includes it. A lead above
  the property need not wait until the handler has accepted. A closed issue takes no command.
- **Fields.** Those in brackets may be left out. *text* is kept encrypted, and read by no rule.
- **What follows.** The kinds of events to which the command can lead, by the rules; several may follow one another. What they do
  to the clocks: [rules](rules.md).

`PYTHONPATH=tests python -m support.commands_page` writes both pages, and a test holds it to the rules.
"""

_CHINESE: Final = """\
# 命令一览

[English](commands.md)

写给调用接口的程序员,也写给想知道一件诉求能做什么的人。发命令用 `POST /v1/issues/{id}/commands/命令名`,字段写成 JSON,并带上
`Idempotency-Key`;也可以用 `jiesu do 命令名 诉求`。不适用的命令会被拒绝(409),说明理由,不留下任何改动。

- **谁能发。** *诉求人*:报告这件诉求的居民,凭查询码或手机;他退出之后,由接替他的人决定。*跟进人*:加入这件诉求的居民,或者
  自己的诉求被并进来的居民;他加入之后的每次办结,他可以评价一次,但除了专等他表态的事,不会因此结案。*承办方*:做这件事的单位。
  *牵头方*:现在对这件诉求负责的单位。*上级*:当地的社区或街道,层级不低于牵头方。*各级*:当地的物业、社区和街道。
  *窗口*:不承办这件诉求的社区或街道,替既没有查询码也没有手机的居民办理。在物业一方办过这件诉求的人,不能再从上级作决定;
  办过它的人,不能评价它。
- **何时能发。** 命令适用的状态;*未办结*指“已办结”之前的各种状态,*任何时候*还包括“已办结”。物业以上的牵头方不必等承办方签收。
  已结案的诉求不接受任何命令。
- **字段。** 方括号里的可以不写。*文字*加密保存,规则不读它。
- **随后发生什么。** 按规则,这条命令可能引起的事件;可能接连发生几个。它们对时限的作用见[规则一览](rules.md)(英文)。

`PYTHONPATH=tests python -m support.commands_page` 写出两种语言的两页,并有测试核对它们与规则一致。
"""

WORDS: Final[Mapping[Language, Words]] = {
    "en": Words(
        _ENGLISH,
        ("The resident", "The work", "From above", "The administrator"),
        "| command | who | when | fields | what follows |",
        {
            "reporter": "reporter", "follower": "follower", "leaver": "a follower who left", "neighbour": "another resident",
            "handler": "handler", "lead": "lead", "senior": "senior", "chain": "chain", "street": "street",
            "admin": "administrator", "counter": "counter",
        },
        "always", "open", "{}, but not {}", " or ", ", ", "; ", "{}: {}", "none", "one of {} words", "list of {}", "text",
        "a year's working days, as `jiesu calendar publish` reads them", "time", "number", "`true` or `false`", "code or id",
        "length of time, such as `2nd`",
    ),
    "zh": Words(
        _CHINESE,
        ("居民", "办理", "上级", "管理员"),
        "| 命令 | 谁能发 | 何时能发 | 字段 | 随后发生什么 |",
        {
            "reporter": "诉求人", "follower": "跟进人", "leaver": "退出跟进的人", "neighbour": "其他居民", "handler": "承办方",
            "lead": "牵头方", "senior": "上级", "chain": "各级", "street": "街道", "admin": "管理员", "counter": "窗口",
        },
        "任何时候", "未办结", "{},但{}除外", "、", "、", ";", "{}:{}", "无", "{} 个词之一", "若干{}", "文字",
        "一年的工作日安排,格式同 `jiesu calendar publish`", "时间", "数字", "`true`(是)或 `false`(否)", "代码或编号",
        "时长,例如 `2nd`",
    ),
}  # fmt: skip
