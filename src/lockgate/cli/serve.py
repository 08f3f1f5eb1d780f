"""`lockgate serve`: run the gate."""

from __future__ import annotations

import argparse

from lockgate.cli.common import add_config, listen_of

EPILOG = """examples:
  lockgate serve --config gate/lockgate.toml
  lockgate serve --config gate/lockgate.toml --listen 127.0.0.1:6432

Prints one JSON line when it accepts clients: {"ready": true, "listen": "127.0.0.1:6432"}. SIGTERM drains and ends.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "serve", help="run the gate", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config(parser)
    parser.add_argument("--listen", metavar="HOST:PORT", help="listen here instead of where the configuration says")
    parser.add_argument("--as-worker", metavar="JSON", help=argparse.SUPPRESS)
    parser.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from lockgate.app.serving import serve
    from lockgate.app.worker import work

    if options.as_worker is not None:
        work(options.config, options.as_worker)
    else:
        serve(options.config, listen_of(options.listen) if options.listen else None)
    return 0
