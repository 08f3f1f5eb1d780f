"""`lockgate explain`: what would happen to a statement, and why. No data is read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from lockgate.app.asking import explained
from lockgate.cli.common import add_config, say, say_json, settings_of

EPILOG = """examples:
  lockgate explain "SELECT email FROM customers WHERE id = 7" --as bot --config gate/lockgate.toml
  lockgate explain "UPDATE orders SET status = 'paid'" --as alice --database shop --json
  lockgate explain - --as bot < report.sql

The statement is analysed by the database as a fresh session of this principal would have it analysed, and judged by the policies and
labels on disk. Nothing is executed, recorded or held. Exit status: 0 when it may run (at once or once approved), 1 when it may not.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("explain", help="what would happen to a statement, and why", epilog=EPILOG,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    add_config(parser)
    parser.add_argument("sql", metavar="SQL", help="one or more statements; - reads them from standard input")
    parser.add_argument("--as", dest="principal", required=True, metavar="PRINCIPAL", help="who would send it")
    parser.add_argument("--on-behalf-of", default="", metavar="PERSON", help="the person an agent or service acts for")
    parser.add_argument(
        "--database", default="", metavar="NAME", help="which database; needed when the gate has several"
    )
    parser.add_argument("--purpose", default="", help="the purpose that the credential would name")
    parser.add_argument("--json", action="store_true", help="one object")
    parser.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """Explain and print."""
    text = sys.stdin.read() if options.sql == "-" else options.sql
    told = explained(settings_of(options), {
        "sql": text, "principal": options.principal, "on_behalf_of": options.on_behalf_of, "database": options.database,
        "purpose": options.purpose,
    })  # fmt: skip
    if options.json:
        say_json(told)
    else:
        _show(told)
    statements = told.get("statements")
    may = isinstance(statements, list) and all(s["effect"] in ("permit", "hold") for s in statements)
    return 0 if may else 1


def _show(told: Mapping[str, object]) -> None:
    principals = [f"{p['name']} ({p['kind']})" for p in _list(told, "principals")]
    say(
        f"{' on behalf of '.join(principals)}, database {told['database']} ({told['environment']}), search_path {told['search_path']}"
    )
    problem = told.get("problem")
    if isinstance(problem, Mapping):
        say(f"\nwould be answered with an error: {problem.get('sqlstate', '')} {problem.get('message', '')}".rstrip())
        if problem.get("hint"):
            say(f"  hint: {problem['hint']}")
        return
    statements = _list(told, "statements")
    for statement in statements:
        _show_statement(statement)
    if len(statements) > 1 and any("refusal" in s for s in statements):
        say("\nSent as one text, none of them would run: a text is decided as a whole.")


def _show_statement(told: Mapping[str, object]) -> None:
    say(f"\n{told['kind']}: {' '.join(str(told['text']).split())}")
    say(f"  would {told['would']}")
    refusal = told.get("refusal")
    if isinstance(refusal, Mapping):
        say(f"  because {refusal['sentence']} ({refusal['rule']})")
        if refusal["hint"]:
            say(f"  hint: {refusal['hint']}")
    for reason in _list(told, "reasons"):
        say(f"  policy says {told['policy']}: {reason['rule']}: {reason['sentence']}")
    if told.get("approvers"):
        say(f"  approvers: {', '.join(map(str, _list(told, 'approvers')))}")
    _section("needs", [f"{a['action']} on {a['on']}" for a in _list(told, "accesses")])
    _section("reads labelled columns", [f"{c['column']}  {c['label']}, {c['shown']}" for c in _list(told, "reads")])
    _section("uses them", [_use(u) for u in _list(told, "uses")])
    _section("shows", [_output(o) for o in _list(told, "outputs")])
    _section(
        "writes",
        [
            f"{w['kind']} {w['table']}, {'bounded' if w['bounded'] else 'not bounded by a key'}"
            for w in _list(told, "writes")
        ],
    )
    _section("cannot be seen into", [f"{o['what']}: {o['why']}" for o in _list(told, "opaque")])
    plan = told.get("plan")
    if isinstance(plan, Mapping) and not refusal:
        say(f"  rows: order {plan['order']}; errors: {plan['errors']}")
    if told.get("rewritten"):
        say("  the database is sent:")
        say("    " + str(told["rewritten"]).replace("\n", "\n    "))


def _use(use: Mapping[str, object]) -> str:
    words = (
        f"{use['how']}"
        + (f" by {use['detail']}" if use["detail"] else "")
        + (", with a constant" if use["with_constant"] else "")
    )
    return f"{words}: {', '.join(map(str, _list(use, 'columns')))}"


def _output(output: Mapping[str, object]) -> str:
    sources = ", ".join(map(str, _list(output, "sources"))) or "no column"
    how = "" if output["unchanged"] or not output["sources"] else ", computed"
    mask = f"; masked: {output['mask']}" if "mask" in output else ""
    return f"{output['name']}  from {sources}{how}{mask}"


def _section(title: str, lines: Sequence[str]) -> None:
    if lines:
        say(f"  {title}:")
        for line in lines:
            say(f"    {line}")


def _list(told: Mapping[str, object], key: str) -> list:  # type: ignore[type-arg]
    found = told.get(key)
    return found if isinstance(found, list) else []
