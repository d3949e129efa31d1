"""The ``jiesu`` command: one small file per group of subcommands, and one place where errors become one line."""

import sys

import typer

from cli import issues, policy, system
from cli.errors import Failure

app = typer.Typer(
    name="jiesu", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="接诉 Jiesu: resident issues that climb by themselves.",
)  # fmt: skip
app.add_typer(policy.app, name="policy", help="Policy packs: list, show, check, explain. Reads files only.")
system.register(app)
issues.register(app)


def main() -> None:
    """Never prints a traceback: what went wrong is one line, and the exit code is 1 (2 for wrong usage)."""
    try:
        app()
    except Failure as failure:
        sys.stderr.write(f"jiesu: {failure}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
