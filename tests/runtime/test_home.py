"""One process at a time holds a home; an unusable home fails with one line."""

import os
from pathlib import Path

import pytest

from runtime.home import HomeBusy, hold_home
from runtime.settings import SettingsError


def test_a_home_is_held_once(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    with hold_home(home):
        assert home.stat().st_mode & 0o077 == 0
        with pytest.raises(HomeBusy) as caught, hold_home(home):
            pass
        assert str(os.getpid()) in str(caught.value)
        assert "\n" not in str(caught.value)
    with hold_home(home):
        pass


def test_a_home_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="JIESU_HOME"), hold_home(tmp_path / "file" / "home"):
        pass
