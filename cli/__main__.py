"""``python -m cli`` is ``jiesu``."""

from cli.main import run

if __name__ == "__main__":
    run()
