"""A district brings packs of its own: beside the shipped ones, without their ids, and not without proof."""

from pathlib import Path

import pytest

from policies.districts import PROOFS, find, in_use, known
from policies.liveness.proofs import COMMANDS, keep
from policies.liveness.report import Found, Report
from policies.loader import SHIPPED, PolicyError, load_file, shipped

DEMO = (SHIPPED / "demo.toml").read_text("utf-8")
IDS = [policy.id for policy in shipped()]


def put(folder: Path, name: str = "ours", policy_id: str | None = None, text: str = DEMO) -> Path:
    """A pack like the one of the demo."""
    file = folder / f"{name}.toml"
    file.write_text(text.replace('id = "demo"', f'id = "{policy_id or name}"'), "utf-8")
    return file


def refused(folder: Path, home: Path) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        in_use(folder, home)
    return list(map(str, caught.value.problems))


def test_packs_of_a_folder_stand_beside_the_shipped_ones(tmp_path: Path) -> None:
    put(tmp_path)
    assert list(known(tmp_path)) == [*IDS, "ours"]
    assert list(known(None)) == IDS
    assert find("ours", tmp_path) == known(tmp_path)["ours"]
    assert find("demo", tmp_path) == find("demo", None)
    with pytest.raises(PolicyError, match=r"no policy 'no'; there are 12345, .*, ours$"):
        find("no", tmp_path)


@pytest.mark.attack(36)
@pytest.mark.parametrize(("folder"), [PROOFS, f"home/{PROOFS}"])
def test_a_pack_is_used_once_it_is_proved_beside_it_or_in_the_home(tmp_path: Path, folder: str) -> None:
    file, home = put(tmp_path), tmp_path / "home"
    unproved = [f"{file}:1: there is no proof yet that no issue freezes under it: run `jiesu policy check {file}`"]
    assert refused(tmp_path, home) == unproved
    keep(load_file(file), Report(COMMANDS - 1), tmp_path / folder)
    assert refused(tmp_path, home) == unproved
    keep(load_file(file), Report(COMMANDS), tmp_path / folder)
    assert list(in_use(tmp_path, home)) == [*IDS, "ours"]
    put(tmp_path, text=DEMO.replace('limit = "10s"', 'limit = "11s"', 1))
    assert refused(tmp_path, home) == unproved, "the proof was of another pack"


@pytest.mark.attack(36)
def test_a_pack_under_which_an_issue_freezes_is_not_used(tmp_path: Path) -> None:
    file = put(tmp_path)
    frozen = (Found(("an issue is reported",), "it stays"),)
    keep(load_file(file), Report(COMMANDS, frozen=frozen), tmp_path / PROOFS)
    assert refused(tmp_path, tmp_path) == [
        f"{file}:1: an issue freezes: an issue is reported; then nobody acts, and it stays"
    ]


@pytest.mark.attack(36)
def test_faults_are_named_by_file_and_line_all_at_once(tmp_path: Path) -> None:
    line = DEMO.splitlines().index('id = "demo"') + 1
    taken, other = put(tmp_path, "demo"), put(tmp_path, "mine", "yours")
    broken = tmp_path / "broken.toml"
    broken.write_text("id = 1 2\n", "utf-8")
    said = refused(tmp_path, tmp_path)
    assert said[0].startswith(f"{broken}:1: ")
    assert said[1:] == [
        f"{taken}:{line}: id: 'demo' is that of a shipped pack; give it another",
        f"{other}:{line}: id: 'yours' does not fit the file's name",
    ]
    assert refused(tmp_path / "none", tmp_path) == [f"{tmp_path / 'none'}:1: is not a folder that can be read"]
