"""`lockgate session`: who is connected, and ending a session."""

from __future__ import annotations

import argparse
import getpass

from lockgate.cli.common import add_config, say, say_json, settings_of
from lockgate.cli.request import ask

EPILOG = """examples:
  lockgate session list --config gate/lockgate.toml
  lockgate session end 5bb9c1d2e3f4 --config gate/lockgate.toml

Sessions of all workers. That one was ended, and by whom, is an entry. To keep a principal out, revoke the credential first (`lockgate token --revoke`).
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("session", help="sessions of a running gate: list, end", epilog=EPILOG,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    listed = steps.add_parser("list", help="who is connected")
    add_config(listed)
    listed.add_argument("--json", action="store_true", help="one object a line")
    listed.set_defaults(handler=run_list)
    end = steps.add_parser("end", help="end one session")
    add_config(end)
    end.add_argument("session", help="its id, as the list and the record have it")
    end.add_argument("--by", default="", help="who, for the record (default: the operating system's user)")
    end.set_defaults(handler=run_end)


def run_list(options: argparse.Namespace) -> int:
    """Print every session."""
    answer = ask(settings_of(options), {"op": "session-list"})
    if not answer.get("ok"):
        say(f"lockgate: {answer.get('message')}")
        return 1
    result = answer.get("result")
    rows = result if isinstance(result, list) else []
    for row in rows:
        if options.json:
            say_json(row)
            continue
        behalf = f" for {row['on_behalf_of']}" if row.get("on_behalf_of") else ""
        state = f"idle for {row['silent_seconds']} s" if row["idle"] else "busy"
        say(
            f"{row['session']}  worker {row['worker']}  {row['principal']}{behalf}  {row['database']}  {row['client']}  {state}"
        )
    if not rows and not options.json:
        say("nobody is connected")
    return 0


def run_end(options: argparse.Namespace) -> int:
    """End one session; exit status 1 when there is none with that id."""
    by = options.by or getpass.getuser()
    answer = ask(settings_of(options), {"op": "session-end", "session": options.session, "by": by})
    result = answer.get("result")
    ended = bool(answer.get("ok")) and isinstance(result, dict) and result.get("ended") == 1
    say(f"session {options.session} was ended" if ended else f"lockgate: there is no session {options.session}")
    return 0 if ended else 1
