"""The ``jiesu`` command with its groups of subcommands."""

import typer

from cli import audit, calendar, issues, keys, policy, privacy, system

app = typer.Typer(
    name="jiesu",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="接诉 Jiesu: resident issues that climb by themselves.",
)
app.add_typer(policy.app, name="policy", help="Policy packs: list, show, check, explain. Reads files only.")
app.add_typer(calendar.app, name="calendar", help="Working days: list, check, publish.")
app.add_typer(audit.app, name="audit", help="Prove what happened: replay, seals, bundles, what-if.")
app.add_typer(keys.app, name="keys", help="Keys: make, certify, rotate. None is ever printed.")
system.register(app)
issues.register(app)
privacy.register(app)
