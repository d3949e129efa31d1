"""``python -m cli`` is ``jiesu``."""

from cli import run

if __name__ == "__main__":
    run()
