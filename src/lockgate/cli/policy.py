"""`lockgate policy`: check the policies and everything they stand beside."""

from __future__ import annotations

import argparse

from lockgate import app
from lockgate.cli.common import add_config, say, settings_of

EPILOG = """examples:
  lockgate policy check --config gate/lockgate.toml

Reads every policies/*.cedar, principals.toml and catalog.toml as `serve` would, and names every problem with file and line.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "policy", help="check policies", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    check = steps.add_parser("check", help="read everything as `serve` would")
    add_config(check)
    check.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """Check; exit status 2 with every problem."""
    settings = settings_of(options)
    documents = app.read_documents(settings)
    app.check_keys(settings)
    say(f"policies are in order: revision {documents.policies.revision[:16]}, {len(documents.principals)} principals")
    return 0
