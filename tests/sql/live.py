"""A live server as the analysis connection sees it: trees, row descriptions, the catalog.

For: tests that ask a real server, and the program that records its trees.
Not for: reading rows: the role has no right to any.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg

from lockgate.errors import RefusedStatementError
from lockgate.masking.plan import make_plan
from lockgate.model.catalog import Catalog, Column, ColumnRef, Function, Index, Relation, Type
from lockgate.model.decision import Clearance
from lockgate.model.plan import Disposition, Plan
from lockgate.model.statement import Analysis, Kind
from lockgate.sql.analysis import analyse
from lockgate.sql.parse import split_and_parse
from lockgate.sql.utility import analyse_utility, analysis_text
from lockgate.transport import catalog_queries as queries

SETTINGS = (
    "SET debug_pretty_print = off",
    "SET client_min_messages = log",
    "SET debug_print_rewritten = on",
)


@dataclass(frozen=True)
class Seen:
    """What the analysis connection saw of one statement."""

    tree: str
    parameter_types: tuple[int, ...]
    row_description: bytes


def read_catalog(connection: psycopg.Connection, labels: Mapping[tuple[str, str], str]) -> Catalog:
    """The catalog by the gate's own queries."""

    def rows(text: str) -> list[list[str]]:
        return [[_text(cell) for cell in row] for row in connection.execute(text.encode()).fetchall()]

    raw = queries.RawCatalog(
        rows(queries.RELATIONS), rows(queries.COLUMNS), rows(queries.INDEXES), rows(queries.PARTITIONED), rows(queries.FUNCTIONS),
        rows(queries.TYPES), "", rows(queries.PARENTS), rows(queries.GENERATED), rows(queries.CASCADES),
        operators=rows(queries.OPERATORS), secured=rows(queries.SECURED),
    )  # fmt: skip
    return queries.build_catalog(
        raw, database="d", environment="test", server_version=connection.info.server_version, generation=1,
        labels=lambda _schema, table, column: (labels.get((table, column), "none"), "test", 1.0, ()),
        default_label="none", server_settings={},
    )  # fmt: skip


def _text(cell: object) -> str:
    return "" if cell is None else {True: "t", False: "f"}.get(cell, str(cell)) if isinstance(cell, bool) else str(cell)


def see(connection: psycopg.Connection, text: str) -> Seen:
    """Parse and Describe, nothing more."""
    notices: list[str] = []

    def keep(diagnostic: psycopg.errors.Diagnostic) -> None:
        if (diagnostic.message_primary or "").startswith("rewritten"):
            notices.append(diagnostic.message_detail or "")

    connection.add_notice_handler(keep)
    try:
        result = connection.pgconn.prepare(b"", text.encode())
        if result.status != psycopg.pq.ExecStatus.COMMAND_OK:
            raise LookupError(result.error_message.decode())
        described = connection.pgconn.describe_prepared(b"")
    finally:
        connection.remove_notice_handler(keep)
    body = b""
    if described.nfields:
        body = struct.pack(">h", described.nfields) + b"".join(
            (described.fname(i) or b"") + b"\0" + struct.pack(
                ">IhIhih", described.ftable(i), described.ftablecol(i), described.ftype(i), described.fsize(i), described.fmod(i), 0
            )
            for i in range(described.nfields)
        )  # fmt: skip
    types = tuple(described.param_type(i) for i in range(described.nparams))
    return Seen(notices[0] if len(notices) == 1 else "", types, body)


def clearance_of(catalog: Catalog) -> Clearance:
    """Nobody may see any labelled column."""
    masked = frozenset(
        ColumnRef(relation.oid, column.attnum)
        for relation in catalog.relations.values()
        for column in relation.columns.values()
        if column.label != "none"
    )
    return Clearance(masked, "test", 1)


def analysed(text: str, seen: Seen, catalog: Catalog) -> Analysis:
    """The analysis of one statement."""
    return analyse(
        seen.tree, parsed=split_and_parse(text)[0], catalog=catalog, parameter_types=seen.parameter_types,
        row_description=seen.row_description,
    )  # fmt: skip


def decide(text: str, seen: Seen, catalog: Catalog) -> str:
    """The decision in words, as `tricky.CASES` writes it."""
    try:
        analysis = analysed(text, seen, catalog)
        plan = make_plan(analysis, catalog=catalog, clearance=clearance_of(catalog), row_limited=False)
    except RefusedStatementError as refused:
        return refused.reason
    return in_words(analysis, plan)


def plan_of(text: str, seen: Seen, catalog: Catalog) -> Plan | str:
    """The plan for somebody who may see no labelled column, or the reason of the refusal."""
    try:
        return make_plan(
            analysed(text, seen, catalog), catalog=catalog, clearance=clearance_of(catalog), row_limited=False
        )
    except RefusedStatementError as refused:
        return refused.reason


def in_words(analysis: Analysis, plan: Plan) -> str:
    """Labels of masked outputs, `-` for clear ones beside them, and the order."""
    words = [c.label if c.disposition is Disposition.MASKED else "-" for c in plan.columns] or ["-"] * len(
        analysis.outputs
    )
    return " ".join([*words, plan.order.value])


def judged(text: str, connection: psycopg.Connection, catalog: Catalog) -> str:
    """The decision on every statement of a text: `run`, `masked`, the first refusal's reason, or `error` by the server."""
    result = "run"
    for parsed in split_and_parse(text):
        wanted = analysis_text(parsed, catalog)
        try:
            if wanted is None:
                analysis = analyse_utility(parsed, catalog, ("public",))
            else:
                seen = see(connection, wanted)
                analysis = analyse(
                    seen.tree, parsed=parsed, catalog=catalog, parameter_types=seen.parameter_types, row_description=seen.row_description
                )  # fmt: skip
            plan = make_plan(
                analysis, catalog=catalog, clearance=clearance_of(catalog), row_limited=False,
                explain=parsed.kind is Kind.EXPLAIN, cursor=parsed.kind is Kind.DECLARE,
            )  # fmt: skip
        except RefusedStatementError as refused:
            return refused.reason
        except LookupError:
            return "error"
        if plan.masks:
            result = "masked"
    return result


# recordings


def record(catalog: Catalog, seen: Mapping[str, Seen], path: Path) -> None:
    """Write trees with as much of the catalog as they name."""
    numbers = {
        int(word)
        for one in seen.values()
        for word in one.tree.replace("\n", " ").replace("}", " ").split()
        if word.isdigit()
    }
    own = {
        oid: relation for oid, relation in catalog.relations.items() if relation.schema == "public" or oid in numbers
    }
    kinds = {column.type_oid for relation in own.values() for column in relation.columns.values()} | numbers
    content = {
        "server_version": catalog.server_version,
        "relations": [_plain(relation) for relation in own.values()],
        "functions": [asdict(f) for oid, f in catalog.functions.items() if oid in numbers],
        "types": [asdict(t) for oid, t in catalog.types.items() if oid in kinds],
        "statements": [
            {
                "text": text,
                "tree": one.tree,
                "parameters": list(one.parameter_types),
                "columns": one.row_description.hex(),
            }
            for text, one in seen.items()
        ],
    }
    path.write_text(json.dumps(content, indent=0) + "\n", encoding="utf-8")


def _plain(relation: Relation) -> dict[str, object]:
    plain = asdict(relation)
    plain["columns"] = [asdict(column) for column in relation.columns.values()]
    plain["indexes"] = [{**asdict(i), "expression_columns": sorted(i.expression_columns)} for i in relation.indexes]
    plain["partition_columns"] = sorted(relation.partition_columns)
    return plain


def replay(path: Path) -> tuple[Catalog, dict[str, Seen]]:
    """Read what `record` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    relations = {}
    for item in content["relations"]:
        columns = {c["attnum"]: Column(**{**c, "json_labels": ()}) for c in item["columns"]}
        indexes = tuple(
            Index(**{**i, "columns": tuple(i["columns"]), "expression_columns": frozenset(i["expression_columns"])})
            for i in item["indexes"]
        )
        changed = {"columns": columns, "indexes": indexes, "partition_columns": frozenset(item["partition_columns"])}
        relations[item["oid"]] = Relation(**{**item, **changed})
    catalog = Catalog(
        "d", "test", content["server_version"], 1, relations,
        {f["oid"]: Function(**f) for f in content["functions"]}, {t["oid"]: Type(**t) for t in content["types"]},
    )  # fmt: skip
    seen = {
        s["text"]: Seen(s["tree"], tuple(s["parameters"]), bytes.fromhex(s["columns"])) for s in content["statements"]
    }
    return catalog, seen
