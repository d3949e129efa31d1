"""`jiesu up` whose API takes its time from a clock that is two hours ahead as long as a file `ahead` lies in the home."""

import asyncio
import os
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

AHEAD = timedelta(hours=2)


def main() -> None:
    from protocol import clock

    if sys.argv[1:] == ["api"]:
        file, true = Path(os.environ["JIESU_HOME"]) / "ahead", clock.now
        # Before anything else takes the clock from there.
        clock.now = lambda: true() + (AHEAD if file.exists() else timedelta())

        from cli.system import api

        api()
        return
    from cli.install import prepare_home
    from cli.system import logging_settings
    from cli.up import Commands, up

    settings = logging_settings()
    commands = Commands(api=(sys.executable, "-P", str(Path(__file__).resolve()), "api"))
    prepare = partial(prepare_home, settings, print, False)
    asyncio.run(up(settings, announce=partial(print, flush=True), commands=commands, prepare=prepare))


if __name__ == "__main__":
    main()
