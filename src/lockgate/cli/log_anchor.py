"""`lockgate log anchor`: the org log's work, by hand or as a service of its own."""

from __future__ import annotations

import argparse

from lockgate.app import org
from lockgate.cli.common import add_config, settings_of


def add_to(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = steps.add_parser(
        "anchor", help="put the workers' checkpoints into the org log and ask the witnesses; `serve` does so by itself"
    )
    add_config(parser)
    parser.add_argument(
        "--once", action="store_true", help="one round; exit status 1 when the witnesses' quorum is missing"
    )
    parser.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """Run the org log."""
    return org.anchor(settings_of(options), once=options.once)
