"""Lets ``python -m cli`` run the command ``jiesu``."""

from cli.main import run

if __name__ == "__main__":
    run()
