"""`lockgate log search`: the named questions, for people and for programs."""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from lockgate import app
from lockgate.app import erasing, search
from lockgate.cli.common import POST_QUANTUM, add_config, say, say_json, settings_of
from lockgate.cli.token import duration
from lockgate.config.schema import ENVIRONMENTS
from lockgate.config.settings import Settings
from lockgate.control.questions import LIMIT, LIMIT_MAX, QUESTIONS, Answer
from lockgate.errors import ConfigError
from lockgate.ledger.entry import KINDS
from lockgate.model.catalog import LABELS

EQUAL = {
    "session": "id of a session", "principal": "who", "on-behalf-of": "for whom an agent acted", "run": "id of a run", "purpose": "why",
    "database": "name of a database", "environment": "production, staging or development", "decision": "permit, hold, deny or refuse",
    "sqlstate": "SQLSTATE of the answer", "statement": "kind of statement: select, update, drop", "kind": "kind of entry",
    "status": "how it ended: complete, error, rolled-back, not-run, unknown", "client": "address of a client",
}  # fmt: skip
NUMBERS = ("index", "intent", "rows", "bytes")
ASKED = "\n".join(f"  {question.name:<12}{question.sentence}" for question in QUESTIONS.values())
EPILOG = f"""questions:
{ASKED}

examples:
  lockgate log search --label person.email --since 24h
  lockgate log search readers --column public.customers.email --since 90d
  lockgate log search denials --environment production --since 7d
  lockgate log search run --run nightly-4711 --json
  lockgate log search readers --column customers.email --prove proofs
"""


def add_to(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the step."""
    parser = steps.add_parser("search", help="ask the record a named question", epilog=EPILOG,
                              formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("question", nargs="?", default="statements", choices=tuple(QUESTIONS), metavar="QUESTION",
                        help="one of those below; without one: statements, oldest first")  # fmt: skip
    add_config(parser)
    for name, sentence in EQUAL.items():
        parser.add_argument(f"--{name}", *([f"--{name.replace('-', '_')}"] if "-" in name else []), help=sentence)
    for name in NUMBERS:
        parser.add_argument(f"--{name}", type=int, help=f"exactly this {name}")
    parser.add_argument("--log", help="origin of a log")
    parser.add_argument("--table", "--tables", dest="table", action="append", default=[], metavar="[SCHEMA.]TABLE",
                        help="touches this table; may be repeated")  # fmt: skip
    parser.add_argument("--column", "--columns", dest="column", action="append", default=[], metavar="[[SCHEMA.]TABLE.]COLUMN",
                        help="uses this labelled column; may be repeated")  # fmt: skip
    parser.add_argument("--label", help="uses a column with this label")
    parser.add_argument(
        "--disposition", choices=("clear", "masked"), help="with --column or --label: shown in clear, or masked"
    )
    parser.add_argument("--rule", "--rules", dest="rule", action="append", default=[], help="decided by this rule")
    parser.add_argument(
        "--person", metavar="VALUE", help="named this value: an e-mail address, a number, a name; by the blind index"
    )
    parser.add_argument(
        "--text", "--shape", dest="text", help="text inside the statement, which is recorded without literals"
    )
    parser.add_argument("--since", help="90d, 24h, 30m, or a time such as 2026-11-22T10:00:00Z")
    parser.add_argument("--until", help="the same, exclusive")
    parser.add_argument("--limit", type=int, help=f"the newest, or largest, so many (default: {LIMIT})")
    parser.add_argument(
        "--prove", type=Path, metavar="FOLDER", help="write the entry and a tlog-proof of each row into this folder"
    )
    parser.add_argument("--post-quantum", action="store_true", help=POST_QUANTUM)
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.set_defaults(handler=run)
    return parser


def run(options: argparse.Namespace) -> int:
    """Print the answer; what it covers goes to the standard error, so that rows stay rows."""
    _check_words(options)
    settings = settings_of(options)
    filters = filters_of(options)
    if options.person is not None:
        filters["person"] = [erasing.person_token(settings, options.person)]
    answer = search.ask(settings, options.question, filters)
    configured = settings.index.folder is not None or settings.index.server is not None
    for row in answer.rows:
        if options.json:
            say_json(row)
    if not options.json:
        show(answer)
    _remark(answer, configured=configured)
    if not answer.rows:
        sys.stderr.write("".join(f"lockgate: {line}\n" for line in _why_nothing(settings, options)))
    if options.prove is not None:
        proofs = search.prove(settings, answer.rows, options.prove, post_quantum=options.post_quantum)
        sys.stderr.write(f"lockgate: {len(proofs)} proofs in {options.prove}\n")
    return 0


def filters_of(options: argparse.Namespace) -> dict[str, object]:
    """What the options ask for."""
    filters: dict[str, object] = {}
    for name in [*EQUAL, *NUMBERS, "log", "label", "disposition", "text", "limit"]:
        value = getattr(options, name.replace("-", "_"))
        if value is not None:
            filters[name.replace("-", "_")] = value
    for name in ("table", "column", "rule"):
        if getattr(options, name):
            filters[name] = getattr(options, name)
    for name in ("since", "until"):
        if getattr(options, name):
            filters[name] = moment(getattr(options, name))
    return filters


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
    if options.limit is not None and not 1 <= options.limit <= LIMIT_MAX:
        raise ConfigError(f"--limit: 1 to {LIMIT_MAX}")
    needs = QUESTIONS[options.question].needs
    if needs and not any(getattr(options, need) for need in needs):
        raise ConfigError(f"`log search {options.question}` needs {' or '.join(f'--{need}' for need in needs)}")


def moment(text: str) -> str:
    """A point in time as entries write it: `24h` ago, or ISO 8601.

    Raises:
        ConfigError: neither.
    """
    if re.fullmatch(r"\d{1,6}[smhd]", text):
        hours = re.fullmatch(r"(\d+)d", text)
        found = datetime.now(UTC) - duration(f"{int(hours[1]) * 24}h" if hours else text)
    else:
        try:
            found = datetime.fromisoformat(text)
        except ValueError as error:
            raise ConfigError(f"`{text}` is not a time such as 24h or 2026-11-22T10:00:00Z") from error
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    return found.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _remark(answer: Answer, *, configured: bool) -> None:
    remarks = []
    if configured and answer.source == "log":
        remarks.append("no index answers, so the log itself was read; `lockgate index` starts one")
    if answer.behind:
        remarks.append(f"the index is still reading the logs: {answer.behind:,} entries are not in this answer yet")
    if answer.more:
        remarks.append(f"there is more than these {len(answer.rows):,}; narrow the question or raise --limit")
    for remark in remarks:
        sys.stderr.write(f"lockgate: {remark}\n")


def _why_nothing(settings: Settings, options: argparse.Namespace) -> list[str]:
    """Nothing was found: a name that the gate does not know is named, for it may be misspelt, or be of former times."""
    remarks = ["nothing was found"]
    with contextlib.suppress(ConfigError):
        documents = app.read_documents(settings)
        keys = [str(key) for section in documents.catalog.sections.values() for key in section.columns]
        unknown = [given for given in options.column if not any(f".{key}".endswith(f".{given}") for key in keys)]
        remarks.extend(f"no line of the catalog is about a column `{given}`" for given in unknown)
        if options.principal is not None and options.principal not in documents.principals:
            remarks.append(f"`{options.principal}` is not a principal of this gate")
    return remarks


def show(answer: Answer) -> None:
    """An answer as text for people."""
    if answer.question in ("statements", "principal", "run"):
        for line in entries(answer.rows):
            say(line)
        return
    if answer.rows:
        for line in table(answer, shutil.get_terminal_size((160, 24)).columns if sys.stdout.isatty() else 10_000):
            say(line)


def printable(text: object) -> str:
    """One line without anything that a terminal obeys: a name or a statement may contain what it likes."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(str(text).split()))


def entries(rows: list[dict[str, object]]) -> list[str]:
    """Entries one by one, aligned, each with the columns it used below."""
    cells = []
    for row in rows:
        who = str(row.get("principal") or "-") + (f" for {row['on_behalf_of']}" if row.get("on_behalf_of") else "")
        outcome = _outcome(row)
        place = f"{row.get('database') or '-'}/{row.get('environment') or '-'}"
        first = (
            f"{row['log']}#{row['index']}",
            str(row["time"])[:19],
            who,
            place,
            row.get("decision") or row["kind"],
            outcome,
        )
        cells.append([printable(text) for text in first])
    widths = [max((len(line[i]) for line in cells), default=0) for i in range(6)]
    lines = []
    for row, line in zip(rows, cells, strict=True):
        what = printable(row.get("shape") or row.get("event") or "")[:SHAPE_MAX]
        lines.append("  ".join([*(text.ljust(width) for text, width in zip(line, widths, strict=True)), what]).rstrip())
        columns = cast("list[dict[str, str]]", row.get("columns") or [])
        if columns:
            lines.append(
                " " * (widths[0] + 2) + printable(", ".join(f"{c['name']}={c['disposition']}" for c in columns))
            )
    return lines


def _outcome(row: dict[str, object]) -> str:
    """What came of a statement: rows that were changed, rows that were answered, or its SQLSTATE."""
    if row.get("rows") is None:
        return str(row.get("sqlstate") or "")
    rows = f"{row['rows']} rows"
    if row.get("statement") not in CHANGING:
        return rows
    return f"{row.get('affected') or 0} changed" + (f", {rows}" if row["rows"] else "")


CHANGING = frozenset({"insert", "update", "delete", "merge", "copy-in"})
SHAPE_MAX = 90
_NUMERIC = frozenset({"statements", "principals", "rows", "affected", "bytes", "denials"})
WIDTH_MAX = 60


def table(answer: Answer, width: int) -> list[str]:
    """Aligned lines under a heading; log and index become one reference, numbers stand to the right, long texts are cut."""
    names = [name for name in QUESTIONS[answer.question].columns if name not in ("log", "index")]
    names = [name for name in names if any(row.get(name) not in (None, []) for row in answer.rows)] + ["entry"]
    cells = [[_cell(name, row) for name in names] for row in answer.rows]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(names)]
    lines = []
    for line in [[name.replace("_", " ") for name in names], *cells]:
        parts = [
            text.rjust(w) if name in _NUMERIC else text.ljust(w)
            for name, text, w in zip(names, line, widths, strict=True)
        ]
        lines.append("  ".join(parts).rstrip()[:width])
    return lines


def _cell(name: str, row: dict[str, object]) -> str:
    if name == "entry":
        return f"{row['log']}#{row['index']}"
    value = row.get(name)
    if value is None:
        return "-"
    if name in _NUMERIC:
        return f"{value:,}"
    if name in ("time", "first", "last"):
        return str(value)[:19]
    text = printable(", ".join(map(str, value)) if isinstance(value, list) else value)
    if name == "policy":
        return text[:16]
    return (text if len(text) <= WIDTH_MAX else text[: WIDTH_MAX - 1] + "\u2026") or "-"
