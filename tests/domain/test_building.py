"""Which building a report names, and whether it is about the inside of a flat: forms that people really write."""

import pytest

from domain.building import building, is_common

FLATS = {
    "3幢2单元501": "3", "12号楼301室": "12", "三号楼二单元1201室": "3", "3-2-501": "3", "A座1203": "A", "5栋502户": "5",
    "十二号楼301": "12", "８幢３０２室": "8", "2单元501": "", "501": "", "6号楼1单元 602": "6", "3幢我家门口": "3", "阳台": "",
    "4栋-1单元-301室": "4",
}  # fmt: skip
SHARED = {
    "6栋东侧路灯": "6", "2单元门口": "", "3幢2单元电梯": "3", "12号楼3层走廊": "12", "小区北门": "", "地下车库B2层": "", "二十一号楼楼下": "21",
    "B座大堂": "B", "中心花园": "", "3号楼与4号楼之间": "3", "5幢西侧100米处": "5", "1栋天台": "1", "88号楼前": "88",
}  # fmt: skip


@pytest.mark.parametrize("location", FLATS)
def test_a_door_or_a_room_is_a_flat(location: str) -> None:
    assert not is_common(location, "漏水")
    assert building(location) == FLATS[location]


@pytest.mark.parametrize("location", SHARED)
def test_what_names_no_door_is_shared(location: str) -> None:
    assert is_common(location, "灯不亮")
    assert building(location) == SHARED[location]


@pytest.mark.parametrize("description", ["厨房漏水", "502家往下滴水", "我家没水", "卫生间返味", "301室门锁坏了"])
def test_the_description_tells_of_a_flat_as_well(description: str) -> None:
    assert not is_common("3幢", description)


@pytest.mark.parametrize(("description", "expected"), [("3号楼电梯坏了", True), ("电梯坏了", False), ("", False)])
def test_a_report_that_names_no_place_is_not_shared(description: str, expected: bool) -> None:
    assert is_common("", description) is expected
    assert building("", description) == ("3" if expected else "")


def test_one_building_has_one_name() -> None:
    assert {building(each) for each in ("3幢", "3栋2单元", "3号楼", "三号楼", "３号楼", "3#楼")} == {"3"}
