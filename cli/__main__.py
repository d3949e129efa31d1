"""``python -m cli`` is ``jiesu``."""

from cli import main

if __name__ == "__main__":
    main()
