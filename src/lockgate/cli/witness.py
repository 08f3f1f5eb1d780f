"""`lockgate witness`: be an independent witness of somebody's log."""

from __future__ import annotations

import argparse
from pathlib import Path

from lockgate.app import witness
from lockgate.cli.common import listen_of

EPILOG = """examples:
  lockgate witness --dir witness --name witness.example/w1 --log org.pub --listen 127.0.0.1:7780
  lockgate witness --dir witness --log org.pub --listen 0.0.0.0:7780 --url https://witness.example/w1

Run it where the gate's administrators have no access. It remembers one checkpoint per log in --dir and makes its keys there at
the first start. The first line it prints is JSON: its address, and the lines for the gate's and the auditors' trust policy.
TLS is a reverse proxy's work; cosignatures and checkpoints are signed and hold nothing secret.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("witness", help="cosign the checkpoints of a gate that somebody else runs", epilog=EPILOG,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--dir", type=Path, required=True, metavar="DIR", help="where its keys and heads are")
    parser.add_argument("--name", help="its name, at the first start; by convention a URL without scheme")
    parser.add_argument("--log", type=Path, action="append", default=[], required=True, metavar="FILE",
                        help="public key of a log to watch, a gate's keys/org.pub; may be repeated")  # fmt: skip
    parser.add_argument(
        "--listen", metavar="HOST:PORT", default="127.0.0.1:7780", help="where logs submit (default: %(default)s)"
    )
    parser.add_argument("--url", help="the submission prefix as others see it, for the printed policy")
    parser.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """Witness until told to stop."""
    witness.serve(options.dir, name=options.name, logs=options.log, listen=listen_of(options.listen), url=options.url)
    return 0
