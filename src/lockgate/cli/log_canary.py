"""`lockgate log canary`: send a known statement through the gate and look for it in the record."""

from __future__ import annotations

import argparse
import asyncio
from datetime import timedelta

from lockgate.app import canary
from lockgate.cli.common import add_config, listen_of, say, say_json, settings_of
from lockgate.cli.token import issue_token
from lockgate.errors import GateUnreachableError

EPILOG = """examples:
  lockgate log canary --config gate/lockgate.toml --as ann --database shop

Exit status 1 when the record does not have the statement, or not its outcome. Run it at intervals: it tries the whole way that
evidence takes.
"""


def add_to(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the step."""
    parser = steps.add_parser("canary", help="send a known statement and look for it in the record", epilog=EPILOG,
                              formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    add_config(parser)
    parser.add_argument("--as", dest="principal", required=True, metavar="PRINCIPAL", help="who sends it")
    parser.add_argument("--database", required=True, help="to which database")
    parser.add_argument("--gate", metavar="HOST:PORT", help="where the gate listens (default: as configured)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to look for it (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one object")
    parser.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """Send, look, say."""
    settings = settings_of(options)
    gate = listen_of(options.gate) if options.gate else settings.gateway.listen
    token = issue_token(settings, options.principal, ttl=timedelta(minutes=1), databases=[options.database])
    song = canary.sing(
        settings,
        gate=gate,
        principal=options.principal,
        token=token,
        database=options.database,
        seconds=options.seconds,
    )
    try:
        seen = asyncio.run(song)
    except (OSError, TimeoutError) as error:
        raise GateUnreachableError(f"no gate answers on {gate}") from error
    if options.json:
        say_json({"log": seen.log, "intent": seen.intent, "outcome": seen.outcome})
    elif seen.outcome is not None:
        say(f"the record has it: entry {seen.log}#{seen.intent} before it ran, #{seen.outcome} with its outcome")
    elif seen.intent is not None:
        say(f"the record has it as entry {seen.log}#{seen.intent}, but no complete outcome of it")
    else:
        say("the record does not have it, although the gate answered")
    return 0 if seen.outcome is not None else 1
