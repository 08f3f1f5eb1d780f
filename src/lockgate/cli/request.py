"""`lockgate request`: see held statements, approve or deny them."""

from __future__ import annotations

import argparse
import base64
import json
import os

from lockgate.cli.common import add_config, say, say_json, settings_of
from lockgate.config.settings import Settings
from lockgate.errors import ConfigError, GateUnreachableError
from lockgate.transport.control_socket import ask_gate

EPILOG = """examples:
  lockgate request list --config gate/lockgate.toml
  LOCKGATE_TOKEN=$(lockgate token boss --config gate/lockgate.toml) lockgate request approve 1 --config gate/lockgate.toml

Approving and denying need a credential in LOCKGATE_TOKEN; policy decides whose. Nobody approves their own request, no agent approves.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("request", help="held statements: list, show, approve, deny", epilog=EPILOG,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    for step, sentence in (
        ("list", "what waits"),
        ("show", "one request, whole"),
        ("approve", "let it run, once"),
        ("deny", "refuse it"),
    ):
        one = steps.add_parser(step, help=sentence)
        add_config(one)
        if step != "list":
            one.add_argument("id", help="number of the request")
        one.add_argument("--json", action="store_true", help="one object a line")
        one.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """Ask the running gate."""
    settings = settings_of(options)
    question: dict[str, object] = {"op": f"request-{options.step}"}
    if options.step != "list":
        question["id"] = options.id
    if options.step in ("approve", "deny"):
        question |= credential()
    answer = ask(settings, question)
    if not answer.get("ok"):
        say(f"lockgate: {answer.get('message')} (rule={answer.get('code')})")
        return 1
    result = answer.get("result")
    rows = [row for row in (result if isinstance(result, list) else [result]) if isinstance(row, dict)]
    for row in rows:
        if options.json:
            say_json(row)
        else:
            show(row, whole=options.step != "list")
    if not rows and not options.json:
        say("nothing waits")
    return 0


def ask(settings: Settings, question: dict[str, object]) -> dict[str, object]:
    """One question to the gate of these settings."""
    if not settings.gateway.control_socket.exists():
        raise GateUnreachableError(
            f"no gate answers on {settings.gateway.control_socket}; is `lockgate serve` running?"
        )
    return ask_gate(settings.gateway.control_socket, question)


def credential() -> dict[str, object]:
    """The credential in LOCKGATE_TOKEN and the principal it names; the gate verifies it."""
    token = os.environ.get("LOCKGATE_TOKEN", "").strip()
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return {"token": token, "principal": str(claims["sub"])}
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise ConfigError("LOCKGATE_TOKEN: put a credential of yours there (`lockgate token YOU`)") from error


def show(row: dict[str, object], *, whole: bool) -> None:
    """One request for people."""
    behalf = f" for {row['on_behalf_of']}" if row.get("on_behalf_of") else ""
    say(
        f"request {row['id']}  {row['state']}  {row['principal']}{behalf}  {row['database']} ({row['environment']})  until {row['expires']}"
    )
    if whole:
        say(f"  facts:  {json.dumps(row['facts'])}")
        say(f"  digest: {row['digest']}")
    for line in str(row["statement"]).splitlines():
        say(f"  | {line}")
