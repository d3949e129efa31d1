"""Namespace keys, which encrypt everything in Temporal: made, rotated, reloaded, and never shown."""

import base64
import json
import os
from pathlib import Path

import pytest

from security.namespace import NamespaceError, NamespaceFile, NamespaceKeys


def _secrets(keys: NamespaceKeys) -> list[str]:
    raw = [keys.mark, *keys.keys.values()]
    return (
        [base64.b64encode(each).decode() for each in raw] + [each.hex() for each in raw] + [repr(each) for each in raw]
    )


def test_keys_are_read_as_they_were_written() -> None:
    keys = NamespaceKeys.new()
    assert NamespaceKeys.parse(keys.dump()) == keys
    assert NamespaceKeys.new().primary != keys.primary


def test_nothing_shows_a_key() -> None:
    keys = NamespaceKeys.new()
    assert not any(secret in repr(keys) for secret in _secrets(keys))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{}", '{"primary": 1}', "[" * 10_000, '{"primary": "x", "mark": "", "keys": {}}', "\x00"],
)
def test_what_holds_no_keys_is_refused(text: str) -> None:
    with pytest.raises(NamespaceError, match=r"not \{"):
        NamespaceKeys.parse(text)


def _plain(keys: NamespaceKeys) -> dict[str, object]:
    return json.loads(keys.dump())


def test_a_key_that_was_altered_or_is_another_installations_is_refused_without_showing_it() -> None:
    keys, others = NamespaceKeys.new(), NamespaceKeys.new()
    plain, foreign = _plain(keys), _plain(others)
    under_wrong_id = {**plain, "keys": {keys.primary: foreign["keys"][others.primary]}}  # type: ignore[index]
    for wrong in (under_wrong_id, {**plain, "mark": foreign["mark"]}, {**foreign, "mark": plain["mark"]}):
        with pytest.raises(NamespaceError, match="made for another one") as caught:
            NamespaceKeys.parse(json.dumps(wrong))
        assert not any(secret in str(caught.value) for secret in _secrets(keys) + _secrets(others))
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    with pytest.raises(NamespaceError, match="not among the keys"):
        NamespaceKeys.parse(json.dumps({**plain, "primary": others.primary}))


def test_an_id_is_known_as_ours_by_who_lacks_its_key_and_no_other_is() -> None:
    keys = NamespaceKeys.new()
    name, more = keys.added()
    assert keys.is_ours(name)
    assert keys.is_ours(keys.primary)
    assert name not in keys.keys
    head, _, tag = name.partition(".")
    variants = (
        NamespaceKeys.new().primary, f"{head}:{tag}", f"{head}.{tag}0", f"{head}.{tag[:-1]}", name.upper(), f"{name}\n",
        f"{tag}.{head}", f"{keys.primary.partition('.')[0]}.{tag}", "", ".", "密钥", f"{head}.",
    )  # fmt: skip
    for variant in variants:
        assert variant == name or not more.is_ours(variant), variant


def test_a_file_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "namespace.json"
    made = NamespaceFile.made(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert NamespaceFile.made(path).current == made.current


def test_rotation_is_learned_by_another_process_without_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "namespace.json"
    operator, process = NamespaceFile.made(path), NamespaceFile(path)
    old = process.current.primary
    new = operator.add()
    assert process.current.primary == old
    assert set(process.current.keys) == {old, new}
    operator.promote(new)
    assert process.current.primary == new
    operator.retire(old)
    assert set(process.current.keys) == {new}
    assert process.current.is_ours(old)


def test_retiring_the_primary_or_an_unknown_key_is_refused(tmp_path: Path) -> None:
    file = NamespaceFile.made(tmp_path / "namespace.json")
    before = (tmp_path / "namespace.json").read_bytes()
    with pytest.raises(NamespaceError, match="primary"):
        file.retire(file.current.primary)
    for change in (file.promote, file.retire):
        with pytest.raises(NamespaceError, match="no namespace key"):
            change("nobody")
    assert (tmp_path / "namespace.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["namespace.json"]


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "namespace.json"
    NamespaceFile.made(path)
    path.chmod(0o640)
    with pytest.raises(NamespaceError, match="others may read it"):
        _ = NamespaceFile(path).current


def test_a_missing_file_stops_a_process_that_begins_but_none_that_runs(tmp_path: Path) -> None:
    path = tmp_path / "namespace.json"
    file = NamespaceFile.made(path)
    held = file.current
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(NamespaceError, match=r"namespace\.json: No such file"):
        _ = NamespaceFile(path).current
    assert file.current == held
    path.write_text("{")
    path.chmod(0o600)
    assert file.current == held
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    new = NamespaceFile(path).add()
    assert new in file.current.keys, "a file that can be read again is taken up again"
