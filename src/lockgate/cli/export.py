"""`lockgate export`: send events to the receivers of the configuration."""

from __future__ import annotations

import argparse

from lockgate.app import exports
from lockgate.cli.common import add_config

EPILOG = """examples:
  lockgate export --config gate/lockgate.toml          follow the logs; `serve` starts this by itself
  lockgate export --config gate/lockgate.toml --once   send what there is and end

Each event is sent at least once, in the order of its log; a receiver that is away gets everything when it is back.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "export",
        help="send events to SIEMs, collectors, webhooks and files",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config(parser)
    parser.add_argument("--once", action="store_true", help="end when every receiver has everything")
    parser.add_argument("--with-parent", type=int, metavar="PID", help="end when this process, which started it, does")
    parser.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """Send until told to stop."""
    return exports.export(options.config, once=options.once, with_parent=options.with_parent)
