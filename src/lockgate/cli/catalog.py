"""`lockgate catalog`: see labels, decide a label."""

from __future__ import annotations

import argparse

from lockgate import app
from lockgate.cli.common import add_config, say, say_json, settings_of
from lockgate.config.catalog_file import parse_key, set_label
from lockgate.errors import ConfigError

EPILOG = """examples:
  lockgate catalog show --config gate/lockgate.toml --database shop
  lockgate catalog label --config gate/lockgate.toml --database shop public.customers.nickname person.name
  lockgate catalog label --config gate/lockgate.toml --database shop 'public.people.prefs->phone' person.phone

A running gate takes a changed label over within seconds.
"""


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
    label = steps.add_parser("label", help="decide what a column holds")
    add_config(label)
    label.add_argument("--database", metavar="NAME", required=True)
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


def decide(options: argparse.Namespace) -> int:
    """Write one label into catalog.toml."""
    settings = settings_of(options)
    key = parse_key(options.column)
    if key is None:
        raise ConfigError(f"`{options.column}` is not schema.table.column")
    if settings.database(options.database) is None:
        raise ConfigError(f"--database: `{options.database}` is not a database of this gate")
    path = settings.files.catalog
    changed = set_label(path.read_text(), options.database, key, options.label)
    temporary = path.with_suffix(".new")
    temporary.write_text(changed)
    temporary.replace(path)
    say(f"{key} is {options.label} now")
    return 0
