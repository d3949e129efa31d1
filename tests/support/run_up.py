"""`jiesu up` with stand-ins for worker and API: `run_up.py [--no-worker] [--worker-fails]`."""

import asyncio
import sys
from pathlib import Path

from cli.up import Commands, up
from runtime.devserver import EmbeddedError
from runtime.home import HomeBusy
from runtime.observability import configure_logging
from runtime.settings import SettingsError, load_settings

HERE = Path(__file__).parent


def main() -> int:
    worker = [sys.executable, str(HERE / "stand_in_worker.py")]
    if "--worker-fails" in sys.argv:
        worker = [sys.executable, "-c", "raise SystemExit(3)"]
    commands = Commands(worker=worker, api=[sys.executable, str(HERE / "stand_in_api.py")])
    try:
        settings = load_settings()
        configure_logging(settings.log_level, settings.log_format)
        asyncio.run(up(settings, "--no-worker" not in sys.argv, announce, commands))
    except (SettingsError, EmbeddedError, HomeBusy) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def announce(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
