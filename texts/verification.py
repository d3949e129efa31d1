"""The steps of a verification: name in Chinese, name in English, and the meaning of success in Chinese."""

from typing import Final

STEPS: Final[dict[str, tuple[str, str, str]]] = {
    "archive": ("历史完整", "The histories are whole", "存档的每一份历史与封存时逐字节相同,首尾相接,没有缺页。"),
    "commands": ("过程可重演", "The steps can be replayed", "用今天的程序重演每一份历史,发出的每一个动作与当时一致。"),
    "fold": (
        "结果由输入得出",
        "The outcome follows from the inputs",
        "按当时的规则重算每一条指令,得到的事件与当时记录的一致。",
    ),
    "time": ("时间相符", "The times agree", "每条指令的时间与服务器收到它的时间相符,没有提前触发的时限。"),
    "rows": ("数据库相符", "The database agrees", "数据库里显示给人看的内容,与历史得出的一致。"),
    "texts": ("文字可解开", "The texts open", "封存的每一段文字都能用该件诉求的密钥解开,或已依法删除且两处记录一致。"),
    "pictures": ("图片齐全", "The pictures are there", "历史中引用的每一张图片都在,与其摘要相符。"),
    "seal": ("封印完好", "The seals are unbroken", "每件诉求的封印与其内容相符。"),
    "head": (
        "与公布的树头相符",
        "The log agrees with its published heads",
        "日志与库外公布、签名的每一个树头相符,没有删改、插入或回退。",
    ),
}
