"""The gate's own catalogue queries, and the snapshot they become.

For: reading relations, columns, indexes, functions and types of one database through the analysis role, without any right on data.
Not for: labels (`config.catalog_file`, `classification`), which are given as a function.
Source: PostgreSQL documentation, chapter 53 (system catalogs).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from lockgate.classification.kin import follow, remember
from lockgate.model.catalog import Catalog, Column, ColumnRef, Constraint, Function, Index, OwnTable, Relation, Type
from lockgate.sql.functions import FIRST_USER_OID
from lockgate.transport.pgclient import PgClient

RELATIONS = """
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relrowsecurity AND (NOT pg_catalog.row_security_active(c.oid) OR EXISTS (
         SELECT 1 FROM pg_catalog.pg_policy p LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_policy'::regclass AND d.objid = p.oid
           AND d.deptype = 'n' LEFT JOIN pg_catalog.pg_class r ON d.refclassid = 'pg_catalog.pg_class'::regclass AND r.oid = d.refobjid
         WHERE p.polrelid = c.oid AND (NOT 0 = ANY (p.polroles) OR d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass)
           OR r.relkind NOT IN ('r', 'p') OR concat(p.polqual::text, p.polwithcheck::text) ~ ':varattno (0|-)'))), c.oid IN (
         SELECT tgrelid FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
         UNION ALL SELECT k.conrelid FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_depend d
           ON d.classid = 'pg_catalog.pg_constraint'::regclass AND d.objid = k.oid
           WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid >= 16384
         UNION ALL SELECT f.adrelid FROM pg_catalog.pg_attrdef f JOIN pg_catalog.pg_depend d
           ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = f.oid
           WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid >= 16384
         UNION ALL SELECT i.indrelid FROM pg_catalog.pg_index i JOIN pg_catalog.pg_depend d
           ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
           WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid >= 16384),
       c.relhasrules, greatest(c.reltuples, 0)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname !~ '^pg_(toast|temp)'"""

COLUMNS = """
SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname !~ '^pg_(toast|temp)'"""

INDEXES = """
SELECT i.indrelid, i.indexrelid, c.relname, i.indkey::text, i.indnkeyatts,
       i.indisunique AND NOT EXISTS (
         SELECT FROM generate_series(0, i.indnkeyatts - 1) k
         JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k] JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
         JOIN pg_catalog.pg_opclass o ON o.oid = i.indclass[k] LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
         WHERE (i.indcollation[k] <> a.attcollation AND NOT l.collisdeterministic)
            OR (o.opcintype < 16384 AND (CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END) >= 16384 AND t.typtype IN ('b', 'd'))),
       i.indpred IS NOT NULL, i.indimmediate,
       i.indisclustered, i.indisvalid,
       coalesce((SELECT string_agg(DISTINCT d.refobjsubid::text, ' ') FROM pg_catalog.pg_depend d
                 WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
                   AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid > 0), '')
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_(toast|temp|catalog)'"""
"""Indexes. One that tells values apart which its column's own type and collation call equal (`text_ops` over `citext`, `COLLATE "C"` over a
collation that is not deterministic) is not unique here: a row found by its key, or sorted by it, would not be the only one."""

PARTITIONED = """
SELECT p.partrelid, concat_ws(' ', p.partattrs::text, (
         SELECT string_agg(d.objsubid::text, ' ') FROM pg_catalog.pg_depend d
         WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = p.partrelid AND d.objsubid > 0 AND d.deptype = 'i'
           AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = p.partrelid AND d.refobjsubid = 0))
FROM pg_catalog.pg_partitioned_table p"""
"""Partitioned tables with the columns of their keys; those inside expressions cannot be dropped alone, which their dependencies say."""

SECURED = """
SELECT p.polrelid, d.refobjid, d.refobjsubid FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_depend d
  ON d.classid = 'pg_catalog.pg_policy'::regclass AND d.objid = p.oid AND d.deptype = 'n' AND d.refclassid = 'pg_catalog.pg_class'::regclass"""
"""(table, relation, column) that the table's row security reads; column 0 for the whole row."""

CASCADES = """
SELECT confrelid, conrelid, confdeltype IN ('c', 'n', 'd'), confupdtype IN ('c', 'n', 'd') FROM pg_catalog.pg_constraint WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))"""
"""(table, table whose rows change when its rows do, by deleting, by updating)."""

CONSTRAINTS = """
SELECT k.conrelid, k.convalidated, coalesce((
         SELECT string_agg(DISTINCT s.a::text, ' ') FROM (
           SELECT unnest(k.conkey) AS a
           UNION ALL SELECT d.refobjsubid FROM pg_catalog.pg_depend d
             WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = k.conrelid AND d.refobjsubid > 0
               AND ((d.classid = 'pg_catalog.pg_constraint'::regclass AND d.objid = k.oid)
                 OR (d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = k.conindid AND k.conindid <> 0))) s), '')
FROM pg_catalog.pg_constraint k WHERE k.contype IN ('c', 'x') AND k.conrelid >= 16384"""
"""Checks and exclusions: their table, whether all rows are known to hold them, and the columns that they read; 0 for the whole row."""

PARENTS = "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits"

GENERATED = """
SELECT DISTINCT a.attrelid, a.attnum, d.refobjsubid
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid > 0
  AND d.refobjsubid <> a.attnum
  AND ((d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = a.attrelid AND d.objsubid = a.attnum)
    OR (d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = f.oid))
WHERE a.attgenerated <> ''"""

FUNCTIONS = """
SELECT p.oid, n.nspname, p.proname, l.lanname, p.provolatile, p.prokind, p.proretset, p.proisstrict, coalesce(e.extname, ''),
       CASE WHEN p.oid >= 16384 THEN encode(sha256(convert_to(concat_ws(E'\x1f', l.lanname, p.prosrc, coalesce(p.probin, ''), coalesce(p.prosqlbody::text, ''),
         p.prosecdef, p.provolatile, p.proisstrict, p.proretset, p.prokind, coalesce(p.proconfig::text, ''), p.proargtypes::text, p.prorettype,
         coalesce(p.proargdefaults::text, '')), 'UTF8')), 'hex') ELSE '' END
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace JOIN pg_catalog.pg_language l ON l.oid = p.prolang
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid"""

TYPES = """
SELECT t.oid, n.nspname, t.typname, t.typtype, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END, t.typcategory, t.typrelid,
       coalesce(e.extname, '')
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid"""

OPERATORS = f"SELECT oid, oprcode::pg_catalog.oid FROM pg_catalog.pg_operator WHERE oid >= {FIRST_USER_OID}"  # noqa: S608 - a number

_PARTS = (
    ("oid", "pg_class", "concat_ws(':', oid, xmin, relname, relnamespace)", "relpersistence <> 't'"),
    ("oid", "pg_proc", "concat_ws(':', oid, xmin)", "true"),
    ("oid", "pg_type", "concat_ws(':', oid, xmin)", "typrelid = 0 AND typelem = 0"),
    ("ev_class", "pg_rewrite", "concat_ws(':', oid, xmin)", "true"),
    ("oid", "pg_namespace", "concat_ws(':', oid, xmin)", "nspname !~ '^pg_(toast_)?temp'"),
    ("oid", "pg_operator", "concat_ws(':', oid, xmin)", "true"),
    ("oid", "pg_cast", "concat_ws(':', oid, xmin)", "true"),
    ("oid", "pg_policy", "concat_ws(':', oid, xmin)", "true"),
    ("indexrelid", "pg_index", "concat_ws(':', indexrelid, xmin)", "true"),
    ("inhrelid", "pg_inherits", "concat_ws(':', inhrelid, xmin)", "true"),
    ("attrelid", "pg_attribute", "concat_ws(':', attrelid, attnum, xmin)",
     "attrelid >= 16384 AND attrelid NOT IN (SELECT oid FROM pg_catalog.pg_class WHERE relpersistence = 't')"),
)  # fmt: skip


def _hash(bound: str) -> str:
    sums = ", ".join(
        f"(SELECT sum(hashtext({what})::numeric) FROM pg_catalog.{name} WHERE {only} AND {oid} {bound})"  # noqa: S608 - the table above
        for oid, name, what, only in _PARTS
    )
    return f"md5(concat_ws(',', {sums}))"


FINGERPRINT = f"SELECT {_hash(f'< {FIRST_USER_OID}')}, {_hash(f'>= {FIRST_USER_OID}')}"
"""Two hashes: of what the server brings and of what users made. They change when any object that analysis reads changes; temporary
objects of any session are left out."""

Labels = Callable[[str, str, str], tuple[str, str, float, tuple[tuple[tuple[str, ...], str], ...]]]
"""(schema, table, column) -> (label, by, score, labels of JSON paths)."""


@dataclass(frozen=True, slots=True)
class RawCatalog:
    """What the catalogue queries returned, before labels.

    Args:
        users_only: what the server brings itself was left out.
    """

    relations: list[list[str]]
    columns: list[list[str]]
    indexes: list[list[str]]
    partitioned: list[list[str]]
    functions: list[list[str]]
    types: list[list[str]]
    fingerprint: str
    parents: list[list[str]] = field(default_factory=list)
    generated: list[list[str]] = field(default_factory=list)
    cascades: list[list[str]] = field(default_factory=list)
    constraints: list[list[str]] = field(default_factory=list)
    operators: list[list[str]] = field(default_factory=list)
    secured: list[list[str]] = field(default_factory=list)
    users_only: bool = False


async def _rows(client: PgClient, text: str) -> list[list[str]]:
    return [[(cell or b"").decode() for cell in row] for row in await client.query(text)]


async def fingerprint(client: PgClient) -> tuple[str, str]:
    """Two hashes that change with every definition in the database: the server's own and those of users."""
    own, users = (await _rows(client, FINGERPRINT))[0]
    return own, users


async def read_catalog(client: PgClient, *, known: str = "") -> RawCatalog:
    """Read everything in one repeatable-read transaction, so that the snapshot is one state.

    Args:
        known: the server's own part of the fingerprint for which the caller has a snapshot; that part, thousands of rows, is not
            read again while it has not changed.
    """
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        own, users = await fingerprint(client)
        less = own == known

        def only(text: str, oid: str, word: str = "AND") -> str:
            return f"{text} {word} {oid} >= {FIRST_USER_OID}" if less else text

        return RawCatalog(
            await _rows(client, only(RELATIONS, "c.oid")), await _rows(client, only(COLUMNS, "a.attrelid")),
            await _rows(client, INDEXES), await _rows(client, PARTITIONED),
            await _rows(client, only(FUNCTIONS, "p.oid", "WHERE")), await _rows(client, only(TYPES, "t.oid", "WHERE")), f"{own}:{users}",
            await _rows(client, PARENTS), await _rows(client, GENERATED), await _rows(client, CASCADES),
            await _rows(client, CONSTRAINTS), await _rows(client, OPERATORS), await _rows(client, SECURED), less,
        )  # fmt: skip
    finally:
        await client.query("COMMIT")


async def read_relations(client: PgClient, relations: Iterable[int]) -> RawCatalog:
    """Of some relations and all that inherit from them, what this connection sees, temporary and uncommitted ones included."""
    asked = ", ".join(str(oid) for oid in sorted(relations)) or "0"
    rows = await _rows(
        client,
        f"WITH RECURSIVE r(oid) AS (SELECT unnest(ARRAY[{asked}]::oid[]) UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i"  # noqa: S608 - numbers
        " JOIN r ON i.inhparent = r.oid) SELECT oid FROM r",
    )
    only = "IN (" + ", ".join(row[0] for row in rows) + ")"
    users, indexed = "n.nspname !~ '^pg_(toast|temp)'", "n.nspname !~ '^pg_(toast|temp|catalog)'"
    return RawCatalog(
        await _rows(client, RELATIONS.replace(users, f"c.oid {only}")), await _rows(client, COLUMNS.replace(users, f"a.attrelid {only}")),
        await _rows(client, INDEXES.replace(indexed, f"i.indrelid {only}")), await _rows(client, f"{PARTITIONED} WHERE p.partrelid {only}"),
        [], [], "", await _rows(client, f"{PARENTS} WHERE inhrelid {only}"), await _rows(client, f"{GENERATED} AND a.attrelid {only}"),
        await _rows(client, f"{CASCADES} AND (conrelid {only} OR confrelid {only})"), secured=await _rows(client, f"{SECURED} WHERE p.polrelid {only}"), users_only=True,
    )  # fmt: skip


def with_own(catalog: Catalog, raw: RawCatalog, labels: Labels, tables: Mapping[int, OwnTable]) -> Catalog:
    """A snapshot with relations as one session sees them; temporary ones that it was not seen to make stay unknown.

    Args:
        raw: from `read_relations`.
        labels: who decides about columns that the snapshot does not have.
        tables: the session's temporary tables.
    """
    seen = build_catalog(
        raw, database=catalog.database, environment=catalog.environment, server_version=catalog.server_version, generation=catalog.generation,
        labels=lambda schema, table, column: ("none", "session", 1.0, ()) if schema.startswith("pg_temp") else labels(schema, table, column),
        default_label=catalog.default_label, server_settings=catalog.server_settings, before=catalog,
    )  # fmt: skip
    own: dict[int, Relation] = {}
    for oid, relation in seen.relations.items():
        before = catalog.relations.get(oid)
        if relation.schema.startswith("pg_temp"):
            if oid in tables:
                own[oid] = _with_labels(relation, tables[oid].labels)
        elif before is None:
            own[oid] = relation
        elif oid >= FIRST_USER_OID:
            own[oid] = _as_known(relation, before)
    edges = [(int(r[0]), int(r[1])) for r in raw.cascades] + [(int(r[1]), int(r[0])) for r in raw.parents]
    return replace(catalog, relations=_with_code({**catalog.relations, **own}, edges))


def _with_labels(relation: Relation, labels: tuple[str, ...]) -> Relation:
    columns = {
        number: replace(column, label=labels[number - 1]) if number <= len(labels) else column
        for number, column in relation.columns.items()
    }
    return replace(relation, columns=columns)


def _as_known(relation: Relation, before: Relation) -> Relation:
    """A relation that the session changed: what was known of its columns stays, whatever they are called now."""
    columns = {}
    for number, column in relation.columns.items():
        known = before.columns.get(number)
        columns[number] = column if known is None else replace(
            column, label=known.label, label_by=known.label_by, label_score=known.label_score, json_labels=known.json_labels
        )  # fmt: skip
    return replace(
        relation, columns=columns, made_of=before.made_of, has_triggers=relation.has_triggers or before.has_triggers,
        children=tuple(dict.fromkeys((*before.children, *relation.children))), chosen_by=before.chosen_by | relation.chosen_by,
    )  # fmt: skip


def build_catalog(raw: RawCatalog, *, database: str, environment: str, server_version: int, generation: int, labels: Labels,
                  default_label: str, server_settings: Mapping[str, str], before: Catalog | None = None, vouched: Set[str] = frozenset()) -> Catalog:  # fmt: skip
    """The snapshot: names, keys and labels by OID.

    Args:
        labels: who decides the label of a user column; system columns are `none`.
        vouched: lines of functions that an administrator vouches for.
        before: the snapshot that this one follows: what the server brings where `raw` has only what users made, and labels of what
            was renamed since.
    """
    columns = _columns(raw, labels)
    indexes = _indexes(raw)
    constraints, secured = _constraints(raw), _secured(raw)
    partition_columns: dict[int, frozenset[int]] = {
        int(r[0]): frozenset(int(a) for a in r[1].split() if a != "0") for r in raw.partitioned
    }
    generated = [(int(r[0]), int(r[1]), int(r[2])) for r in raw.generated]
    deleting, updating = (_pairs((r[0], r[1]) for r in raw.cascades if r[at] == "t") for at in (2, 3))
    computed = _pairs((oid, number) for oid, number, _ in generated)
    relations = {
        int(r[0]): Relation(
            int(r[0]),
            r[1],
            r[2],
            r[3],
            columns.get(int(r[0]), {}),
            tuple(indexes.get(int(r[0]), ())),
            r[4] == "t",
            r[5] == "t",
            r[6] == "t",
            partition_columns.get(int(r[0]), frozenset()),
            estimated_rows=float(r[7]),
            constraints=constraints.get(int(r[0]), ()),
            secured_by=secured.get(int(r[0]), frozenset()),
            generated=frozenset(computed.get(int(r[0]), ())),
            deletes_reach=frozenset(deleting.get(int(r[0]), ())),
            updates_reach=frozenset(updating.get(int(r[0]), ())),
        )
        for r in raw.relations
    }
    relations = follow(
        remember(before.relations, relations) if before is not None else relations,
        [(int(r[0]), int(r[1])) for r in raw.parents],
        generated,
    )
    edges = [(int(r[0]), int(r[1])) for r in raw.cascades] + [(int(r[1]), int(r[0])) for r in raw.parents]
    relations = _with_code(relations, edges)
    functions = _functions(raw, vouched)
    types = {int(r[0]): Type(int(r[0]), r[1], r[2], r[3], int(r[4]), r[5], int(r[6]), r[7]) for r in raw.types}
    if raw.users_only and before is not None:
        relations |= {oid: one for oid, one in before.relations.items() if oid < FIRST_USER_OID}
        functions |= {oid: one for oid, one in before.functions.items() if oid < FIRST_USER_OID}
        types |= {oid: one for oid, one in before.types.items() if oid < FIRST_USER_OID}
    return Catalog(
        database,
        environment,
        server_version,
        generation,
        relations,
        functions,
        types,
        default_label,
        dict(server_settings),
        {int(r[0]): int(r[1]) for r in raw.operators},
    )


def _columns(raw: RawCatalog, labels: Labels) -> dict[int, dict[int, Column]]:
    columns: dict[int, dict[int, Column]] = {}
    named = {int(r[0]): (r[1], r[2]) for r in raw.relations}
    for relation, attnum, name, type_oid, type_mod, not_null in raw.columns:
        schema, table = named.get(int(relation), ("pg_catalog", ""))
        label, by, score, paths = (
            labels(schema, table, name)
            if schema not in ("pg_catalog", "information_schema")
            else ("none", "system", 1.0, ())
        )
        columns.setdefault(int(relation), {})[int(attnum)] = Column(
            int(attnum), name, int(type_oid), int(type_mod), not_null == "t", label, by, score, paths
        )
    return columns


def _functions(raw: RawCatalog, vouched: Set[str]) -> dict[int, Function]:
    return {
        int(r[0]): Function(int(r[0]), r[1], r[2], r[3], r[4], r[5], r[6] == "t", r[7] == "t", r[8], bool(vouched) and vouch_line(r) in vouched)
        for r in raw.functions
    }  # fmt: skip


def _pairs(rows: Iterable[tuple[str | int, str | int]]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for one, other in rows:
        found.setdefault(int(one), set()).add(int(other))
    return found


def vouch_line(row: Sequence[str]) -> str:
    """The line by which an administrator vouches for a function as it is defined now: of its name, language and body."""
    return f"{row[1]}.{row[2]} {row[9]}"


def _with_code(relations: Mapping[int, Relation], edges: Iterable[tuple[int, int]]) -> dict[int, Relation]:
    """The relations, with `has_triggers` wherever a write may reach a table that has code: by a foreign key, in a child."""
    found = dict(relations)
    reaches: dict[int, list[int]] = {}
    for source, target in edges:
        reaches.setdefault(target, []).append(source)
    waiting = [oid for oid, relation in found.items() if relation.has_triggers]
    while waiting:
        for source in reaches.get(waiting.pop(), ()):
            if source in found and not found[source].has_triggers:
                found[source] = replace(found[source], has_triggers=True)
                waiting.append(source)
    return found


def _constraints(raw: RawCatalog) -> dict[int, tuple[Constraint, ...]]:
    found: dict[int, tuple[Constraint, ...]] = {}
    for relation, validated, columns in raw.constraints:
        one = Constraint(frozenset(int(c) for c in columns.split()), validated == "t")
        found[int(relation)] = (*found.get(int(relation), ()), one)
    return found


def _secured(raw: RawCatalog) -> dict[int, frozenset[ColumnRef]]:
    found: dict[int, frozenset[ColumnRef]] = {}
    for table, relation, number in raw.secured:
        found[int(table)] = found.get(int(table), frozenset()) | {ColumnRef(int(relation), int(number))}
    return found


def _indexes(raw: RawCatalog) -> dict[int, list[Index]]:
    found: dict[int, list[Index]] = {}
    for relation, oid, name, keys, key_count, unique, partial, immediate, clustered, valid, depends in raw.indexes:
        columns = tuple(int(k) for k in keys.split())[: int(key_count)]
        used = frozenset(int(d) for d in depends.split()) - frozenset(columns)
        found.setdefault(int(relation), []).append(
            Index(int(oid), name, columns, used if 0 in columns or partial == "t" else frozenset(), unique == "t" and valid == "t",
                  partial == "t", immediate == "t", clustered == "t")
        )  # fmt: skip
    return found
