"""`lockgate catalog`: see labels, decide a label."""

from __future__ import annotations

import argparse
from pathlib import Path

from lockgate import app
from lockgate.app.asking import fresh_section, functions_to_vouch_for, reload
from lockgate.app.vouching import vouched_lines
from lockgate.cli.common import add_config, database_of, say, say_json, settings_of
from lockgate.config.catalog_file import ColumnKey, parse_catalog, parse_key, replace_section, set_label
from lockgate.config.settings import Settings
from lockgate.errors import ConfigError

EPILOG = """examples:
  lockgate catalog show --config gate/lockgate.toml --database shop
  lockgate catalog refresh --config gate/lockgate.toml --database shop
  lockgate catalog functions --config gate/lockgate.toml --database shop
  lockgate catalog label --config gate/lockgate.toml --database shop public.customers.nickname person.name
  lockgate catalog label --config gate/lockgate.toml --database shop 'public.people.prefs->phone' person.phone

A running gate takes a changed label over within seconds.
"""


WHICH = "which database; needed when the gate has several"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("catalog", help="labels of columns: show, label", epilog=EPILOG,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    shown = steps.add_parser("show", help="every column with its label")
    add_config(shown)
    shown.add_argument("--database", metavar="NAME", help="this database only")
    shown.add_argument("--label", help="this label only")
    shown.add_argument("--json", action="store_true", help="one object a line")
    shown.set_defaults(handler=show)
    again = steps.add_parser(
        "refresh", help="add lines for new columns, drop those of columns that are gone; decided labels stay"
    )
    add_config(again)
    again.add_argument("--database", metavar="NAME", help=WHICH)
    again.set_defaults(handler=refresh)
    functions = steps.add_parser(
        "functions", help="the line of every function, by which an administrator can vouch for it"
    )
    add_config(functions)
    functions.add_argument("--database", metavar="NAME", help=WHICH)
    functions.set_defaults(handler=list_functions)
    label = steps.add_parser("label", help="decide what a column holds")
    add_config(label)
    label.add_argument("--database", metavar="NAME", help=WHICH)
    label.add_argument("column", help="schema.table.column, with ->key for a key inside JSON")
    label.add_argument("label", help="one of docs/reference/labels.md")
    label.set_defaults(handler=decide)


def show(options: argparse.Namespace) -> int:
    """Print labels."""
    settings = settings_of(options)
    documents = app.read_documents(settings)
    for name, section in documents.catalog.sections.items():
        if options.database not in (None, name):
            continue
        for key, found in section.columns.items():
            if options.label not in (None, found.label):
                continue
            row: dict[str, object] = {
                "database": name,
                "column": str(key),
                "label": found.label,
                "by": found.by,
                "score": found.score,
            }
            if options.json:
                say_json(row)
            else:
                say(f"{name}  {key!s:<50} {found.label:<22} {found.by} {found.score:g}")
    return 0


def refresh(options: argparse.Namespace) -> int:
    """Read the database's columns again and write one line for each."""
    settings = settings_of(options)
    database = database_of(settings, options.database)
    path = settings.files.catalog
    text = path.read_text()
    old = parse_catalog(text, file=str(path)).section(database.name)
    section = fresh_section(settings, database)
    _replace(path, replace_section(text, database.name, section))
    new = parse_catalog(path.read_text(), file=str(path)).section(database.name)
    added = [key for key in new.columns if key not in old.columns]
    for key in added:
        say(f"new  {key!s:<50} {new.columns[key].label}")
    say(f"{len(new.columns)} columns, {len(added)} new, {sum(k not in new.columns for k in old.columns)} gone")
    return _in_force(settings) if new != old else 0


def list_functions(options: argparse.Namespace) -> int:
    """Print the line of each function; whoever has read one, and finds that it shows nothing but its arguments, puts its line into the file."""
    settings = settings_of(options)
    database = database_of(settings, options.database)
    vouched = vouched_lines(database.vouched)
    for line, language in functions_to_vouch_for(settings, database):
        say(f"{line}  # {language}{', vouched for' if line in vouched else ''}")
    return 0


def _in_force(settings: Settings) -> int:
    """Tell a running gate of the file at once; 1 when it does not take it over."""
    if reload(settings) is False:
        say("the running gate has not taken it over; its log says why")
        return 1
    return 0


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.replace(path)


def decide(options: argparse.Namespace) -> int:
    """Write one label into catalog.toml."""
    settings = settings_of(options)
    key = parse_key(options.column)
    if key is None:
        raise ConfigError(f"`{options.column}` is not schema.table.column")
    database = database_of(settings, options.database)
    path = settings.files.catalog
    text = path.read_text()
    if (
        ColumnKey(key.schema, key.table, key.column)
        not in parse_catalog(text, file=str(path)).section(database.name).columns
    ):
        raise ConfigError(
            f"`{options.column}` has no line in {path}; `lockgate catalog refresh --database {database.name}` adds new columns"
        )
    _replace(path, set_label(text, database.name, key, options.label))
    say(f"{key} is {options.label} now")
    return _in_force(settings)
