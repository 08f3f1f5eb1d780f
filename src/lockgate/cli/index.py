"""`lockgate index`: the process that makes the record searchable."""

from __future__ import annotations

import argparse

from lockgate.app import search
from lockgate.cli.common import add_config

EPILOG = """examples:
  lockgate index --config gate/lockgate.toml             follow the logs and answer searches; `serve` starts this by itself
  lockgate index --config gate/lockgate.toml --rebuild   throw the index away and read the logs again
  lockgate index --config gate/lockgate.toml --once      bring the index up to date and end

Prints one JSON line when it answers: {"ready": true, "index": "gate/run/index.sock"}. The index is never the evidence: it may be
deleted at any time.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "index", help="run the search index", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config(parser)
    parser.add_argument("--rebuild", action="store_true", help="throw the index away first")
    parser.add_argument("--once", action="store_true", help="end when everything is in the index")
    parser.add_argument("--with-parent", type=int, metavar="PID", help="end when this process, which started it, does")
    parser.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """Follow the logs until told to stop."""
    search.index(options.config, rebuild=options.rebuild, once=options.once, with_parent=options.with_parent)
    return 0
