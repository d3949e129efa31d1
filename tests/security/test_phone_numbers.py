"""One phone has one form, and so one pseudonym, however it is typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.ids import phone_pseudonym
from security.phone_numbers import Phone, kept, read

WAYS = (
    "13800000000", "138-0000-0000", "138—0000—0000", "138‐0000–0000", "１３８００００００００", "１３８－００００－００００", "138.0000.0000",
    "138。0000。0000", "138·0000·0000", "+86 138 0000 0000", "＋８６１３８００００００００", "0086-13800000000", "(+86)13800000000",
    "8613800000000", "\u202d138 0000 0000\u202c", "\u2068+86\u00a013800000000\u2069", "138\u200b0000\u20600000\ufeff", " 13800000000。",
    "013800000000", "0086 138 0000 0000",
)  # fmt: skip
EXTENDED = (
    "13800000000转801", "138-0000-0000 转 801", "１３８００００００００轉８０１", "13800000000(分机801)", "+86 13800000000 转接801。", "13800000000 ext. 801",
    "13800000000#801", "13800000000,801", "13800000000分機：801", "138-0000-0000转80\u202c1",
)  # fmt: skip
OTHERS = (
    "", "转801", "user13800000000", "张13800000000", "13800000000 或 13900000000", "13800000000 13900000000", "138000000001", "1380000000",
    "12345", "0571-87654321", "0571-87654321转801", "+1 650 253 0000", "+8612345678901", "00113800000000", "13800000000ext", "+86" * 12,
)  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_spelling_is_one_number(way: str) -> None:
    assert read(way) == Phone("+8613800000000")
    assert kept(way) == "13800000000"


@pytest.mark.parametrize("way", EXTENDED)
def test_an_extension_is_cut_off_and_kept_behind_the_number(way: str) -> None:
    found = read(way)
    assert found == Phone("+8613800000000", "801")
    assert kept(way) == "13800000000 转801"
    assert read(kept(way)) == found, "what is kept is read again"


@pytest.mark.parametrize("other", OTHERS)
def test_anything_else_is_none_and_is_kept_as_it_was_typed(other: str) -> None:
    assert read(other) is None
    assert kept(other) == other
    assert kept(f"\u202d{other}\u202c") == other


@given(
    st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True) | st.from_regex(r"179[0-9]{2}00[0-9]{4}", fullmatch=True),
    st.data(),
)
def test_any_sign_between_any_two_digits_changes_nothing(number: str, data: st.DataObject) -> None:
    wide = str.maketrans("0123456789", "０１２３４５６７８９")
    signs = st.sampled_from(["", "-", " ", "－", "—", ".", "。", "\u00a0", "\u200e", "\u202c"])
    typed = data.draw(st.sampled_from(["", "+86", "＋８６", "86", "0086 "]))
    for digit in number:
        typed += data.draw(signs) + data.draw(st.sampled_from([digit, digit.translate(wide)]))
    found = read(typed)
    if number[:3] == "179" and typed.startswith("0086"):
        return  # 179 and four digits more dial a carrier of their own
    assert found is not None
    assert found.number == f"+86{number}"
    assert phone_pseudonym(b"s" * 32, found.number) == phone_pseudonym(b"s" * 32, f"+86{number}")
