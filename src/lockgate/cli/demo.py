"""`lockgate demo`: the whole product in a minute, on a real PostgreSQL."""

from __future__ import annotations

import argparse

EPILOG = """examples:
  lockgate demo
  lockgate demo --keep
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("demo", help="the whole product in a minute, on a real PostgreSQL", epilog=EPILOG,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--keep", action="store_true", help="leave everything running and print psql lines")
    parser.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """Run the walk; heavy imports wait until somebody asks for it."""
    from lockgate.cli.demo_walk import walk

    return walk(keep=options.keep)
