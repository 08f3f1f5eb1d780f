"""Queries: FROM items, WITH, set operations, select lists; how a column reference finds its base columns.

For: one QUERY node after another, each with its scope and level.
Not for: single expressions (`expressions`) or the statement as a whole (`analysis`).
Source: masking.md 1.2 and 2.3; PostgreSQL 14 to 18, parsenodes.h.
"""

from __future__ import annotations

from lockgate.model.catalog import ColumnRef, has_placed_rows, is_foreign
from lockgate.model.statement import UNKNOWN_COLUMN, UseKind
from lockgate.sql.bodies import Bodies
from lockgate.sql.expressions import TEXT_TYPES
from lockgate.sql.facts import COMPUTED, NO_COLUMNS, NULL, Draft, Val, merge
from lockgate.sql.failing import may_fail
from lockgate.sql.functions import EQUAL_OPERATORS, FIRST_USER_OID, SIZES_TELL
from lockgate.sql.scope import VALUE, Call, Common, Scope, Yield
from lockgate.sql.tree import Node, child_nodes, refusal, refuse
from lockgate.sql.writes import SELECT

_RELATION, _SUBQUERY, _JOIN, _FUNCTION, _TABLEFUNC, _VALUES, _CTE, _TUPLESTORE, _RESULT, _GROUP = range(10)
_UNION = 1
_IS_NOT_NULL = 1
_ROUNDS = 16
_MATCHED = ("groupClause", "groupingSets", "windowClause", "distinctClause", "sortClause")
"""Clauses whose expressions the server matches with the select list, so that constants in it may matter."""
SECRET_RELATIONS: dict[int, str] = {
    2619: "it holds values that ANALYZE sampled", 3429: "it holds values that ANALYZE sampled", 2613: "it holds large objects",
}  # fmt: skip
_PG_CLASS = 1259
_HOW_MANY = frozenset({"relpages", "reltuples", "relallvisible", "relallfrozen"})
"""Columns of pg_class that say how many rows a relation has, and on how many pages."""
SECRET_COLUMNS: dict[int, str] = {1260: "rolpassword", 1418: "umoptions", 6100: "subconninfo"}
"""Columns of system catalogs that hold credentials, by catalog."""
PG_CURSOR = 2511
CURSOR_NAME = 1
"""The function under `pg_cursors`, and the only column of it that shows nothing of a statement."""
PG_LOCKS = 1371
LOCKED_TRANSACTION = 7
"""The function under `pg_locks`, and the column that is filled where a transaction's number is locked, whatever it read."""

_TABLEFUNC_PARTS = (
    "ns_uris", "docexpr", "rowexpr", "colexprs", "coldefexprs", "colvalexprs", "passingvalexprs",
)  # fmt: skip


class Queries(Bodies):
    """Reads whole queries."""

    def query(
        self,
        node: Node,
        parent: Scope | None,
        *,
        call: Call | None = None,
        lazy: bool = False,
        common: Common | None = None,
    ) -> Yield:
        """One QUERY node.

        Select-list entries that are bare columns of tables are read when somebody asks: to compute one that nobody uses shows nothing.

        Args:
            call: the call of the function that this is the body of.
            lazy: leave out select-list entries that nobody asks for, as the server's planner does.
            common: the WITH query that this is the body of.
        """
        if node.tag != "QUERY" or node.get("utilityStmt") is not None:
            refuse("tree-query", "a part of its tree is not a query")
        command = node.integer("commandType")
        level = len(self.levels)
        self.levels.append(Draft(parent=parent.level if parent is not None else None))
        scope = Scope(node, parent, level, node.nodes("rtable"), node.nodes("targetList"), call=call)
        self.levels[level].fails = may_fail(node, self.catalog.functions)
        self.levels[level].condition_fails = may_fail(node.need("jointree"), self.catalog.functions)
        for item in node.nodes("cteList"):
            scope.commons[item.text("ctename")] = Common(item, scope)
        self._note_entries(scope)
        operations = node.node("setOperations")
        if operations is not None:
            scope.arms = self._arms(operations, scope, common)
        scope.writing = command != SELECT
        self._from(node.need("jointree"), scope, "WHERE")
        scope.writing = False
        if command == SELECT:
            self.clauses(scope)
            outputs = tuple(t for t in scope.targets if not t.flag("resjunk"))
        else:
            self.write(scope, command)
            outputs = tuple(t for t in node.nodes("returningList") if not t.flag("resjunk"))
        self._locks(scope)
        free = command == SELECT and not any(node.items(name) for name in _MATCHED)

        def read(number: int) -> Val:
            with self.givens.compared_with_others(unless=free):
                return self.expression(outputs[number - 1].need("expr"), scope, VALUE)

        result = Yield(scope, len(outputs), read, lambda number: self._is_bare(outputs[number - 1].need("expr"), scope))
        self._read_targets(result, outputs, scope, lazy=lazy and command == SELECT)
        for other in scope.commons.values():
            self._common(other)
        return result

    def subquery(self, node: Node, scope: Scope) -> Yield:
        """A query inside an expression."""
        return self.query(node, scope)

    def _read_targets(self, result: Yield, outputs: tuple[Node, ...], scope: Scope, *, lazy: bool) -> None:
        node = scope.node
        keep = lazy and scope.arms is None and not node.items("distinctClause") and not node.flag("hasTargetSRFs")
        for number, target in enumerate(outputs, 1):
            waits = node.integer("commandType") == SELECT and not target.integer("ressortgroupref")
            if not waits or not (self._is_bare(target.need("expr"), scope) or (keep and not self._is_volatile(target))):
                result.one(number)
        for target in scope.targets:
            if target.flag("resjunk"):
                with self.givens.compared_with_others():
                    self.expression(target.need("expr"), scope, VALUE)

    def _is_bare(self, node: Node, scope: Scope) -> bool:
        """Whether an expression is a column of a table, as it stands there, by whatever queries it was handed on."""
        if node.tag == "RELABELTYPE" and node.integer("resulttype") in TEXT_TYPES:
            return self._is_bare(node.need("arg"), scope)
        if node.tag != "VAR":
            return False
        owner, number = scope.up(node.integer("varlevelsup")), node.integer("varattno")
        if owner.arms is not None:
            return owner.arms.is_bare(number)
        entry = owner.entry(node.integer("varno"))
        kind = entry.integer("rtekind")
        if kind == _RELATION:
            return self.catalog.column(ColumnRef(entry.integer("relid"), number)) is not None
        if kind in (_SUBQUERY, _CTE):
            self._item(owner, node.integer("varno"))
            return owner.entries[node.integer("varno")].is_bare(number)
        if kind in (_JOIN, _GROUP):
            parts = entry.nodes_or_none("joinaliasvars" if kind == _JOIN else "groupexprs")
            part = parts[number - 1] if 1 <= number <= len(parts) else None
            return part is not None and self._is_bare(part, owner)
        return False

    def _is_volatile(self, node: Node) -> bool:
        """Whether a select-list entry must be computed even when nobody reads it."""
        for name in ("funcid", "opfuncid", "aggfnoid", "winfnoid"):
            if node.has(name) and node.integer(name):
                function = self.catalog.functions.get(node.integer(name))
                if function is None or function.volatility == "v" or function.returns_set:
                    return True
        if node.tag in ("NEXTVALUEEXPR", "SUBLINK"):
            return True
        return any(self._is_volatile(child) for child in child_nodes(node))

    def _locks(self, scope: Scope) -> None:
        for mark in scope.node.nodes("rowMarks"):
            self.has_effects = True
            entry = scope.entry(mark.integer("rti"))
            if entry.integer("rtekind") == _RELATION:
                self.locked[entry.integer("relid")] = None

    # relations

    def _note_entries(self, scope: Scope) -> None:
        """Every relation named in the range table, views included; their security filters are conditions."""
        for entry in scope.rtable:
            if entry.has("relid") and entry.integer("relid"):
                self.relations[entry.integer("relid")] = None
                if self.is_inside:
                    self.inside.add(entry.integer("relid"))
                if entry.text("relkind") == "v":
                    self.scanned[entry.integer("relid")] = None
            for qual in entry.nodes("securityQuals"):
                self.condition(qual, scope, "security barrier")

    def relation(self, entry: Node) -> None:
        """Judge a relation that is scanned or written."""
        oid, kind = entry.integer("relid"), entry.text("relkind")
        found = self.catalog.relations.get(oid)
        if oid in SECRET_RELATIONS:
            self.hide(f"relation {self.name_of(oid)}", SECRET_RELATIONS[oid])
        elif found is None and (oid >= FIRST_USER_OID or kind != "r"):
            self.hide(
                "relation",
                "it is a temporary one that the gate did not see made, a sequence, or newer than the catalog snapshot",
            )
        elif found is not None and found.schema.startswith("pg_toast"):
            self.hide(f"relation {found.qualified_name}", "it is internal storage")
        elif found is not None and found.row_security:
            self.hide(f"relation {found.qualified_name}", "its row security filter depends on who asks")
        elif kind == "f" and (found is None or any(c.label == "unknown" for c in found.columns.values())):
            self.hide(f"relation {self.name_of(oid)}", "another server answers for it, and columns of it have no label")
        elif kind not in ("r", "p", "m", "f"):
            self.hide(f"relation {self.name_of(oid)}", "its rows come from code of its own")

    def column(self, scope: Scope, entry: int, number: int) -> Val:
        """A column of a range table entry; number 0 is the whole row."""
        if scope.arms is not None:
            return scope.arms.one(number)
        found = scope.entry(entry)
        kind = found.integer("rtekind")
        if kind == _RELATION:
            return self._base(found, number)
        if kind in (_JOIN, _GROUP):
            return self._alias(
                scope, entry, found.nodes_or_none("joinaliasvars" if kind == _JOIN else "groupexprs"), number
            )
        if kind in (_SUBQUERY, _FUNCTION, _TABLEFUNC, _VALUES, _CTE):
            self._item(scope, entry)
            columns = scope.entries[entry]
            if number:
                return columns.one(number)
            values = columns.every()
            return Val(NO_COLUMNS.union(*(v.sources for v in values)), plain=False, literal=True)
        raise refusal("tree-range", "a column of its tree refers to something that has no columns")

    def _base(self, entry: Node, number: int) -> Val:
        oid = entry.integer("relid")
        relation = self.catalog.relations.get(oid)
        if entry.text("relkind") == "v":
            self.hide(f"relation {self.name_of(oid)}", "its rows are handled by code of its own")
        if number < 0 and is_foreign(oid, self.catalog):
            self.hide(f"relation {self.name_of(oid)}", "another server says where its rows are")
        named = relation.columns.get(number) if relation is not None else None
        counted = oid == _PG_CLASS and (named is None or named.name in _HOW_MANY)
        if counted and number >= 0 and has_placed_rows(self.catalog):
            self.hide("relation pg_catalog.pg_class", SIZES_TELL)
        if number == 0:
            references = frozenset({ColumnRef(oid, 0)})
            if relation is not None:
                references = frozenset(ColumnRef(oid, attribute) for attribute in relation.columns)
            self.reads.update(references)
            known = relation is not None and entry.text("relkind") in ("r", "p", "m")
            return Val(references, plain=False, literal=True, row_of=oid if known else 0)
        if relation is not None and number > 0:
            column = relation.columns.get(number)
            if column is None:
                self.hide(f"relation {relation.qualified_name}", UNKNOWN_COLUMN)
            elif SECRET_COLUMNS.get(oid) == column.name:
                self.hide(f"column {relation.qualified_name}.{column.name}", "it holds credentials")
        elif oid in SECRET_COLUMNS and number > 0:
            self.hide("system catalog", "it holds credentials and is not in the catalog snapshot")
        reference = ColumnRef(oid, number)
        self.reads.add(reference)
        return Val(frozenset({reference}))

    def _alias(self, scope: Scope, entry: int, parts: tuple[Node | None, ...], number: int) -> Val:
        """A column of a join or of the grouping: an expression of the same level."""
        if number < 0 or number > len(parts):
            refuse("tree-column", "a column of a join is not there")
        if (entry, number) in scope.busy:
            refuse("tree-column", "a column of a join refers to itself")
        scope.busy.add((entry, number))
        chosen = parts if number == 0 else (parts[number - 1],)
        values = [self.expression(part, scope, VALUE) if part is not None else NULL for part in chosen]
        scope.busy.discard((entry, number))
        if number:
            return values[0]
        return Val(NO_COLUMNS.union(*(v.sources for v in values)), plain=False, literal=True)

    # FROM

    def _from(self, node: Node, scope: Scope, what: str) -> None:
        if node.tag == "RANGETBLREF":
            self._item(scope, node.integer("rtindex"))
        elif node.tag == "JOINEXPR":
            self._from(node.need("larg"), scope, what)
            self._from(node.need("rarg"), scope, what)
            if node.node("quals") is not None:
                self.condition(node.need("quals"), scope, "JOIN")
        elif node.tag == "FROMEXPR":
            for item in node.nodes("fromlist"):
                self._from(item, scope, what)
            if node.node("quals") is not None:
                self.condition(node.need("quals"), scope, what)
        else:
            refuse("unknown-node", f"node {node.tag} is not known in FROM")

    def _item(self, scope: Scope, number: int) -> None:
        """Read a FROM item once."""
        if number in scope.entries or number in scope.scanned:
            return
        entry = scope.entry(number)
        kind = entry.integer("rtekind")
        if kind == _RELATION:
            scope.scanned.add(number)
            self._scan(entry, scope)
        elif kind == _SUBQUERY:
            scope.entries[number] = self.query(
                entry.need("subquery"), scope, lazy=scope.node.get("setOperations") is None
            )
            self.levels[scope.level].feeds.add(scope.entries[number].scope.level)
        elif kind == _FUNCTION:
            parts = [f.need("funcexpr") for f in entry.nodes("functions")]
            called = [part.integer("funcid") if part.has("funcid") else 0 for part in parts]
            if called == [PG_CURSOR] or (called == [PG_LOCKS] and _asks_transactions_only(scope)):
                read = self._cursor_column if called == [PG_CURSOR] else self._lock_column
                scope.entries[number] = Yield(scope, len(entry.need("eref").items("colnames")), read)
                return
            table = self.body_table(parts[0], entry, scope) if len(parts) == 1 else None
            scope.entries[number] = table or self._computed(parts, entry, scope, "function in FROM")
        elif kind == _TABLEFUNC:
            scope.entries[number] = self._table_function(entry, scope)
        elif kind == _VALUES:
            scope.entries[number] = self._values(entry, scope)
        elif kind == _CTE:
            scope.entries[number] = self._reference(entry, scope)
        elif kind == _TUPLESTORE:
            refuse("tree-range", "a transition table cannot be judged")

    def _scan(self, entry: Node, scope: Scope) -> None:
        oid = entry.integer("relid")
        self.relation(entry)
        self.scanned[oid] = None
        self.levels[scope.level].relations.add(oid)
        sample = entry.node("tablesample")
        if sample is not None:
            self.levels[scope.level].order_sensitive["TABLESAMPLE"] = None
            if sample.integer("tsmhandler") >= FIRST_USER_OID:
                self.hide("TABLESAMPLE", "its method is defined by a user or an extension")
            for argument in (*sample.nodes("args"), sample.node("repeatable")):
                self.control(argument, scope, "TABLESAMPLE")

    def _cursor_column(self, number: int) -> Val:
        """A column of `pg_cursors`, which drivers ask whether a cursor of theirs is still open."""
        if number != CURSOR_NAME:
            self.hide("pg_cursors", "its statements are those that the gate made of the session's own")
        return COMPUTED

    def _lock_column(self, number: int) -> Val:
        """A column of `pg_locks` where only the numbers of running transactions are asked for, as data tools do before they read catalogues."""
        if number != LOCKED_TRANSACTION:
            self.hide("pg_locks", "it shows what other sessions read")
        return COMPUTED

    def _computed(self, parts: list[Node], entry: Node, scope: Scope, what: str) -> Yield:
        values = [self.expression(part, scope, VALUE) for part in parts]
        sources = NO_COLUMNS.union(*(v.sources for v in values))
        self.use(UseKind.CONTROL, sources, what, scope.level)
        found = Val(sources, plain=False, literal=True) if sources else COMPUTED
        return Yield(scope, len(entry.need("eref").items("colnames")), lambda _number: found)

    def _table_function(self, entry: Node, scope: Scope) -> Yield:
        """XMLTABLE and JSON_TABLE: every column depends on every part; column expressions test the document."""
        function = entry.need("tablefunc")
        parts: list[Node] = []
        for name in _TABLEFUNC_PARTS:
            value = function.fields.get(name)
            members = value if isinstance(value, tuple) else (value,)
            parts.extend(part for part in members if isinstance(part, Node))
        document = self.expression(function.need("docexpr"), scope, VALUE)
        scope.tested.append(document)
        with self.givens.kept():
            found = self._computed(parts, entry, scope, "table function in FROM")
        scope.tested.pop()
        return found

    def _values(self, entry: Node, scope: Scope) -> Yield:
        rows: list[list[Val]] = []
        for row in entry.items("values_lists"):
            if not isinstance(row, tuple):
                refuse("tree-values", "a row of VALUES cannot be read")
            cells = []
            for cell in row:
                if not isinstance(cell, Node):
                    refuse("tree-values", "a row of VALUES cannot be read")
                cells.append(self.expression(cell, scope, VALUE))
            rows.append(cells)
        count = len(rows[0]) if rows else 0
        if any(len(row) != count for row in rows):
            refuse("tree-values", "rows of VALUES differ in length")
        return Yield(scope, count, lambda number: merge(row[number - 1] for row in rows))

    # WITH

    def _reference(self, entry: Node, scope: Scope) -> Yield:
        owner = scope.up(entry.integer("ctelevelsup"))
        common = owner.commons.get(entry.text("ctename"))
        if common is None:
            refuse("tree-with", "a WITH query of its tree is not there")
        self._common(common)
        if common.level >= 0:
            self.levels[scope.level].feeds.add(common.level)
        if common.found is not None:
            found = common.found
            return Yield(scope, found.count, found.one, found.is_bare)
        columns = common.columns or []
        return Yield(scope, len(columns), lambda number: columns[number - 1])

    def _common(self, common: Common) -> None:
        """Read a WITH query; a recursive one until its columns settle."""
        if common.busy:
            common.met_itself = True
            if common.columns is None:
                common.columns = [Val() for _ in common.node.items("ctecolnames")]
            return
        if common.level >= 0:
            return
        common.busy = True
        for _ in range(_ROUNDS):
            found = self.query(common.node.need("ctequery"), common.owner, common=common)
            settled = not common.met_itself
            if settled:
                common.found = found
            else:
                columns = found.every()
                settled = columns == common.columns
                common.columns = columns
            if settled:
                common.level = found.scope.level
                common.busy = False
                return
        raise refusal("tree-with", "a recursive query does not settle")

    # set operations

    def _arms(self, node: Node, scope: Scope, common: Common | None = None) -> Yield:
        """Columns of a set operation; a recursive WITH query knows its first arm's columns while the second is read."""
        if node.tag == "RANGETBLREF":
            number = node.integer("rtindex")
            self._item(scope, number)
            if number not in scope.entries:
                refuse("tree-union", "an arm of a set operation is not a query")
            return scope.entries[number]
        if node.tag != "SETOPERATIONSTMT":
            refuse("unknown-node", f"node {node.tag} is not known in a set operation")
        left = self._arms(node.need("larg"), scope)
        if common is not None and common.columns is None and common.node.flag("cterecursive"):
            common.columns = left.every()
        right = self._arms(node.need("rarg"), scope)
        collations = node.integers("colCollations")
        if not left.count == right.count == len(collations):
            refuse("tree-union", "arms of a set operation differ in length")
        merged = Yield(
            scope,
            left.count,
            lambda number: merge((left.one(number), right.one(number))),
            lambda number: left.is_bare(number) and right.is_bare(number),
        )
        if node.integer("op") == _UNION and node.flag("all"):
            return merged
        clauses = node.nodes("groupClauses")
        self.operators(n for c in clauses for n in (c.integer("eqop"), c.integer("sortop")))
        builtin = all(c.integer("eqop") in EQUAL_OPERATORS for c in clauses)
        self.levels[scope.level].distinct = True
        for value, collation in zip(merged.every(), collations, strict=True):
            pure = value.plain and builtin and collation < FIRST_USER_OID
            self.group(value.sources, "UNION, INTERSECT or EXCEPT", scope, literal=value.literal, pure=pure)
        return merged


def _asks_transactions_only(scope: Scope) -> bool:
    """Whether the query around the view `pg_locks` keeps those of its rows alone that have a transaction's number.

    Other rows tell which pages and rows a plan went through.
    """
    around = scope.parent
    if around is None:
        return False
    found = around.node.need("jointree").node("quals")
    conditions = [] if found is None else [found]
    if found is not None and found.tag == "BOOLEXPR" and found.text("boolop") == "and":
        conditions = list(found.nodes("args"))
    for condition in conditions:
        if condition.tag != "NULLTEST" or condition.integer("nulltesttype") != _IS_NOT_NULL:
            continue
        column = condition.need("arg")
        if column.tag != "VAR" or column.integer("varlevelsup") or column.integer("varattno") != LOCKED_TRANSACTION:
            continue
        if around.entry(column.integer("varno")).get("subquery") is scope.node:
            return True
    return False
