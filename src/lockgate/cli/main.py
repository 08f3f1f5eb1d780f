"""The `lockgate` command.

For: parsing arguments, choosing the subcommand, turning errors into exit codes.
Not for: what the subcommands do.
Exit codes: 0 done, 1 negative answer, 2 usage or configuration, 3 gate unreachable.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from lockgate import __version__, speed
from lockgate.cli import (
    catalog,
    demo,
    explain,
    export,
    index,
    init,
    log,
    mirror,
    policy,
    request,
    serve,
    session,
    token,
    witness,
)
from lockgate.errors import ConfigError, LockgateError

EPILOG = """examples:
  lockgate init --dir gate --database shop=postgresql://postgres@127.0.0.1/shop --environment production --create-roles
  lockgate serve --config gate/lockgate.toml
  PGPASSWORD=$(lockgate token ann --config gate/lockgate.toml) psql -h 127.0.0.1 -p 6432 -U ann shop
  lockgate log search --config gate/lockgate.toml --label person.email --json
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="lockgate", description="An identity-aware gate in front of databases: identify, understand, decide, record, mask.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument(
        "--version",
        action="version",
        version=f"lockgate {__version__} ({'plain Python' if speed.name() == speed.PLAIN else 'compiled'} core)",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (
        init,
        serve,
        token,
        request,
        session,
        explain,
        log,
        index,
        export,
        policy,
        catalog,
        witness,
        mirror,
        demo,
    ):
        module.add_to(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    try:
        options = parser().parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        return int(options.handler(options))
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"lockgate: {problem}\n")
        return error.exit_status
    except LockgateError as error:
        sys.stderr.write(f"lockgate: {error}\n")
        return error.exit_status
    except BrokenPipeError:
        # Whoever read our output has seen enough; keep the interpreter from complaining at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 1


if __name__ == "__main__":
    sys.exit(main())
