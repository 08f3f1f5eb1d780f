"""`lockgate log completeness`: how many logins and statements did not come through the gate, by the record itself."""

from __future__ import annotations

import argparse

from lockgate.app import asking, completeness
from lockgate.cli.common import add_config, say, say_json, settings_of

EPILOG = """The gate asks each database at intervals how many logins it counted, and compares with its own (pg_stat_database); how many
statements roles other than the gate's ran, where pg_stat_statements is there; and who has a session. The number is an entry of the
log (kind review, event completeness) whenever it grows, every hour, and at the end. While the gate runs, it compares again for this
command; otherwise the newest entry is shown, with its time. Exit status 1 when it is not 0, or not known.
"""

NUMBERS = ("logins_bypassing", "statements_bypassing", "logged_bypassing", "audited_bypassing")


def add_to(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the step."""
    parser = steps.add_parser("completeness", help="what did not come through the gate", epilog=EPILOG,
                              formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """Print the number of each database: as the running gate finds it now, or the newest of the record."""
    settings = settings_of(options)
    found = {str(entry["database"]): entry for entry in asking.compared(settings) or completeness.newest(settings)}
    status = 0
    for name in sorted(database.name for database in settings.databases):
        entry = found.get(name)
        if (
            entry is None
            or entry.get("known") is False
            or entry.get("blind")
            or any(entry.get(number) for number in NUMBERS)
        ):
            status = 1
        if options.json:
            say_json(entry or {"database": name, "known": False})
        elif entry is None:
            say(f"{name}: not known yet; the gate writes the number when it has asked the database")
        elif entry.get("known") is False:
            say(f"{name}: not known now; the database does not answer the gate")
        else:
            _show(name, entry)
    return status


def _show(name: str, entry: dict[str, object]) -> None:
    say(f"{name}: {entry['logins_bypassing']:,} of {entry['logins']:,} database logins did not come through the gate since {str(entry['since'])[:19]}Z "
        f"(as of {str(entry['time'])[:19]}Z)")  # fmt: skip
    if entry.get("statements") is not None:
        say(
            f"  {entry['statements_bypassing']:,} of {entry['statements']:,} statements were run by roles that are not the gate's"
        )
    else:
        say("  statements are not counted: the extension pg_stat_statements is not there")
    if entry.get("logged") is not None:
        say(
            f"  {entry['logged_bypassing']:,} of {entry['logged']:,} logins in the server's log were of roles that are not the gate's"
        )
    if entry.get("audited"):
        say(
            f"  {entry['audited_bypassing']:,} of {entry['audited']:,} statements that pgaudit wrote down were of roles that are not the gate's"
        )
    if entry.get("logins_unattributed"):
        say(
            f"  {entry['logins_unattributed']:,} logins cannot be told apart, because the gate was killed while they were made"
        )
    roles = entry.get("roles")
    if isinstance(roles, list) and roles:
        say(f"  roles seen past the gate: {', '.join(map(str, roles))}")
    if entry.get("resets"):
        say(
            f"  the database's statistics began anew {entry['resets']} times: what went past just then is not in the number"
        )
    if entry.get("blind"):
        say("  the database does not count: the number says nothing")
