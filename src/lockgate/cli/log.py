"""`lockgate log`: search the record, show one entry, verify all of it."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime

from lockgate.app import erasing, evidence
from lockgate.cli import log_anchor, log_erase
from lockgate.cli.common import add_config, say, say_json, settings_of
from lockgate.cli.token import duration
from lockgate.config.schema import ENVIRONMENTS
from lockgate.errors import ConfigError
from lockgate.ledger.entry import KINDS
from lockgate.model.catalog import LABELS

EPILOG = """examples:
  lockgate log search --config gate/lockgate.toml --label person.email --since 24h
  lockgate log search --config gate/lockgate.toml --column public.customers.email --disposition clear --json
  lockgate log search --config gate/lockgate.toml --decision deny --environment production
  lockgate log search --config gate/lockgate.toml --person alice@example.com
  lockgate log show 17 --config gate/lockgate.toml --text
  lockgate log verify --config gate/lockgate.toml
"""
EQUAL = {
    "session": "id of a session", "principal": "who", "on-behalf-of": "for whom an agent acted", "run": "id of a run", "purpose": "why",
    "database": "name of a database", "environment": "production, staging or development", "decision": "permit, hold, deny or refuse",
    "sqlstate": "SQLSTATE of the answer", "statement": "kind of statement: select, update, drop", "kind": "kind of entry",
}  # fmt: skip


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("log", help="the record: search, show, verify", epilog=EPILOG,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    search = steps.add_parser(
        "search", help="statements, oldest first", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config(search)
    for name, sentence in EQUAL.items():
        search.add_argument(f"--{name}", *([f"--{name.replace('-', '_')}"] if "-" in name else []), help=sentence)
    for name in ("index", "intent", "rows", "bytes"):
        search.add_argument(f"--{name}", type=int, help=f"exactly this {name}")
    search.add_argument("--log", help="origin of a log")
    search.add_argument("--table", "--tables", dest="table", action="append", default=[], metavar="[SCHEMA.]TABLE",
                        help="touches this table; may be repeated")  # fmt: skip
    search.add_argument("--column", "--columns", dest="column", action="append", default=[], metavar="[[SCHEMA.]TABLE.]COLUMN",
                        help="uses this labelled column; may be repeated")  # fmt: skip
    search.add_argument("--label", help="uses a column with this label")
    search.add_argument(
        "--disposition", choices=("clear", "masked"), help="with --column or --label: shown in clear, or masked"
    )
    search.add_argument("--rule", "--rules", dest="rule", action="append", default=[], help="decided by this rule")
    search.add_argument(
        "--person", metavar="VALUE", help="named this value: an e-mail address, a number, a name; by the blind index"
    )
    search.add_argument("--shape", help="text inside the statement's shape")
    search.add_argument("--since", help="24h, 30m, or a time such as 2026-11-22T10:00:00Z")
    search.add_argument("--until", help="the same, exclusive")
    search.add_argument("--limit", type=int, help="the newest so many")
    search.add_argument("--json", action="store_true", help="one object a line")
    search.set_defaults(handler=run_search)
    show = steps.add_parser("show", help="one entry by its index")
    add_config(show)
    show.add_argument("index", type=int)
    show.add_argument("--text", action="store_true", help="decrypt and print the statement's text as well")
    show.set_defaults(handler=run_show)
    log_erase.add_to(steps)
    log_anchor.add_to(steps)
    verify = steps.add_parser("verify", help="verify signatures, tree, entries, counters with the standalone verifier")
    add_config(verify)
    verify.set_defaults(handler=run_verify)


def run_search(options: argparse.Namespace) -> int:
    """Print matching statements."""
    filters: dict[str, object] = {}
    _check_words(options)
    for name in [*EQUAL, "index", "intent", "rows", "bytes", "log", "shape"]:
        value = getattr(options, name.replace("-", "_"))
        if value is not None:
            filters[name.replace("-", "_")] = value
    if options.person is not None:
        filters["persons"] = [erasing.person_token(settings_of(options), options.person)]
    if options.rule:
        filters["rules"] = options.rule
    for name in ("since", "until"):
        if getattr(options, name):
            filters[name] = moment(getattr(options, name))
    rows = [row for row in evidence.search_log(settings_of(options), filters) if _uses(row, options)]
    for row in rows[-options.limit :] if options.limit else rows:
        if options.json:
            say_json({k: v for k, v in row.items() if k != "text"})
        else:
            _print_row(row)
    return 0


def _check_words(options: argparse.Namespace) -> None:
    """A misspelt word must not read as "nobody".

    Raises:
        ConfigError: a filter names a word that cannot occur.
    """
    closed = (
        ("label", LABELS),
        ("decision", ("permit", "hold", "deny", "refuse")),
        ("environment", ENVIRONMENTS),
        ("kind", KINDS),
    )
    for name, known in closed:
        given = getattr(options, name)
        if given is not None and given not in known:
            raise ConfigError(f"--{name}: `{given}` is none of {', '.join(sorted(known))}")
    if options.limit is not None and options.limit < 1:
        raise ConfigError("--limit: at least 1")


def moment(text: str) -> str:
    """A point in time as entries write it: `24h` ago, or ISO 8601.

    Raises:
        ConfigError: neither.
    """
    if re.fullmatch(r"\d{1,6}[smh]", text):
        found = datetime.now(UTC) - duration(text)
    else:
        try:
            found = datetime.fromisoformat(text)
        except ValueError as error:
            raise ConfigError(f"`{text}` is not a time such as 24h or 2026-11-22T10:00:00Z") from error
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    return found.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _uses(row: dict[str, object], options: argparse.Namespace) -> bool:
    """Whether a row touches every table asked for, and one labelled column fits all that was asked of columns."""
    tables = row.get("tables")
    named = tables if isinstance(tables, list) else []
    if not all(any(_is_named(str(table), wanted) for table in named) for wanted in options.table):
        return False
    if options.label is None and options.disposition is None and not options.column:
        return True
    columns = row.get("columns")
    fitting = [
        str(column.get("name"))
        for column in (columns if isinstance(columns, list) else [])
        if options.label in (None, column.get("label")) and options.disposition in (None, column.get("disposition"))
    ]
    if options.column:
        return all(any(_is_named(name, wanted) for name in fitting) for wanted in options.column)
    return bool(fitting)


def _is_named(name: str, wanted: str) -> bool:
    """`public.people.email` is named by itself, by `people.email` and by `email`."""
    return name == wanted or name.endswith(f".{wanted}")


def _print_row(row: dict[str, object]) -> None:
    columns = row.get("columns")
    used = (
        ", ".join(f"{c['name']}={c['disposition']}" for c in columns if isinstance(c, dict))
        if isinstance(columns, list)
        else ""
    )
    who = str(row.get("principal") or "-") + (f" for {row['on_behalf_of']}" if row.get("on_behalf_of") else "")
    outcome = f"{row['rows']} rows" if row.get("rows") is not None else str(row.get("sqlstate") or "")
    say(f"{row['index']:>6}  {str(row['time'])[:19]}  {who:<22} {row.get('database') or '-'}/{row.get('environment') or '-'}  {row.get('decision') or row['kind']:<7} {outcome:<9} "
        f"{' '.join(str(row.get('shape') or '').split())[:90]}")  # fmt: skip
    if used:
        say(f"        {used}")


def run_show(options: argparse.Namespace) -> int:
    """Print one entry; exit status 1 when there is none."""
    settings = settings_of(options)
    entry = evidence.log_entry(settings, options.index)
    if entry is None:
        say(f"lockgate: the log has no entry {options.index}")
        return 1
    say_json(entry)
    if options.text and "text" not in entry:
        say("lockgate: this entry has no statement text")
        return 1
    if options.text:
        text, _, parameters = evidence.log_text(settings, entry, options.index).partition(b"\x00")
        say(text.decode("utf-8", "replace"))
        if parameters:
            say(f"-- and {int.from_bytes(parameters[:2], 'big')} parameters, {len(parameters)} bytes")
    return 0


def run_verify(options: argparse.Namespace) -> int:
    """Run the standalone verifier."""
    return evidence.verify_log(settings_of(options))
