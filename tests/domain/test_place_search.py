"""Compounds and buildings are found by what residents type, and never more than asked for."""

from dataclasses import replace
from pathlib import Path

import pytest

from domain import place_search
from domain.building import before_building
from domain.directory import Building, Community, Compound, Directory, Street
from domain.directory_csv import parse
from domain.place_search import LONGEST, spots

EXAMPLE = parse(
    {path.name: path.read_bytes() for path in (Path(__file__).parents[2] / "examples" / "directory").glob("*.csv")}
)
HERE = Directory(
    streets=(Street("north", "北街道"),),
    communities=(Community("elm", "榆社区", "north"),),
    compounds=(
        Compound("garden", "花园一期", "elm"), Compound("garden2", "花园二期", "elm"), Compound("sanyuan", "三元里", "elm"),
        Compound("plain", "平房区", "elm"),
    ),
    buildings=(
        *(Building("garden", f"{n}", f"{n}幢") for n in range(1, 13)), Building("garden", "A", "A座"),
        Building("garden2", "g3", "三号楼"), Building("sanyuan", "tower", "望江塔"),
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("花园一期3幢", "garden/3"), ("花园一期 三号楼", "garden/3"), ("花园一期 3", "garden/3"), ("garden 3", "garden/3"),
        ("garden3幢", "garden/3"), ("ＧＡＲＤＥＮ　３", "garden/3"), ("花园一期3-2-501", "garden/3"), ("花园一期A座1203", "garden/A"),
        ("花园一期十二栋", "garden/12"), ("花园二期3号楼", "garden2/g3"), ("三元里", "sanyuan"), ("三元里望江塔", "sanyuan/tower"),
        ("望江塔", "sanyuan/tower"), ("平房区5幢", "plain"), ("一期", "garden"), ("榆社区 三号楼", "garden/3"),
        ("花园一期99幢", "garden"),
    ],
)  # fmt: skip
def test_the_first_place_is_the_one_that_is_meant(typed: str, first: str) -> None:
    assert spots(HERE, typed, 20)[0].at == first


def test_a_building_alone_is_found_in_each_compound_that_has_it() -> None:
    for typed in ("三号楼", "3幢"):
        assert [each.at for each in spots(HERE, typed, 20)] == ["garden/3", "garden2/g3"]
    assert spots(HERE, "99幢", 20) == []


def test_a_part_of_a_name_finds_all_that_bear_it_and_the_whole_name_lists_the_buildings() -> None:
    assert [each.at for each in spots(HERE, "花园", 20)] == ["garden", "garden2"]
    assert [each.at for each in spots(HERE, "花园一期", 20)][:3] == ["garden", "garden/1", "garden/2"]
    assert len(spots(HERE, "花园一期", 20)) == 14


def test_within_a_compound_only_its_own_buildings_are_found() -> None:
    assert [each.at for each in spots(HERE, "3", 20, "garden")] == ["garden/3"]
    assert [each.at for each in spots(HERE, "", 20, "garden2")] == ["garden2", "garden2/g3"]
    assert spots(HERE, "三元里", 20, "garden")[0].at == "garden"
    assert spots(HERE, "", 20, "nowhere") == []


@pytest.mark.parametrize("typed", ["", "  ", "，。", "火星小区", "x" * 10_000, "\x00", "%", "'"])
def test_what_fits_nothing_finds_nothing(typed: str) -> None:
    assert spots(HERE, typed, 20) == []


def test_there_are_never_more_than_asked_for_and_long_texts_are_cut() -> None:
    assert len(spots(HERE, "花园一期", 3)) == 3
    assert spots(HERE, "花园一期" + " " * LONGEST + "3幢", 20)[0].at == "garden"


@pytest.mark.parametrize("compound", EXAMPLE.compounds, ids=lambda each: each.code)
def test_each_compound_of_the_example_is_found_by_name_and_by_code(compound: Compound) -> None:
    for typed in (compound.name, compound.code):
        assert spots(EXAMPLE, typed, 1)[0].compound == compound


def test_each_building_of_the_example_is_found_by_what_is_written_on_it() -> None:
    for building in EXAMPLE.buildings:
        compound = EXAMPLE.compound(building.compound)
        assert compound is not None
        assert spots(EXAMPLE, f"{compound.name}{building.name}", 20)[0].building == building


def test_what_stands_before_the_building() -> None:
    assert before_building("花园三号楼2单元") == "花园"
    assert before_building("花园") == "花园"


def test_a_search_reads_what_was_typed_once_and_the_names_of_buildings_never_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = replace(HERE, buildings=tuple(Building("garden", f"b{n}", f"{n}号塔楼") for n in range(1_000)))
    asked, reads = list[str](), place_search.building
    monkeypatch.setattr(place_search, "building", lambda text: asked.append(text) or reads(text))
    assert spots(many, "77号塔楼", 20)[0].at == "garden/b77"
    assert len(asked) > 1_000, "or nothing is counted here"
    asked.clear()
    assert spots(many, "78号塔楼", 20)[0].at == "garden/b78"
    assert len(asked) <= 2, "once to find the compound, once to find the building in it"
