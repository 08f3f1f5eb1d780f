"""`lockgate mirror`: copy the logs into storage from which nobody can remove them."""

from __future__ import annotations

import argparse

from lockgate.app import mirror
from lockgate.cli.common import add_config, settings_of

EPILOG = """examples:
  lockgate mirror --config gate/lockgate.toml          follow the logs; `serve` starts this by itself
  lockgate mirror --config gate/lockgate.toml --once   copy what there is and end

The bucket needs object lock. Entries, texts (encrypted) and tiles go first, the checkpoint last: what lies there is a log that can be verified.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("mirror", help="copy the logs to S3-compatible storage with object lock", epilog=EPILOG,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    add_config(parser)
    parser.add_argument("--once", action="store_true", help="end when everything is copied")
    parser.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """Copy until told to stop."""
    return mirror.follow(settings_of(options), once=options.once)
