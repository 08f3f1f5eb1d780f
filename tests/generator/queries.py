"""Random statements over a generated schema: masked columns bare where they may stand bare, and inside whatever else there is.

For: one case at a time (`corpus.cases.Case`), from a list of decisions. Not for: judging.
Half of the statements are tame: masked columns are only shown, grouped, counted or joined within their class, so that the gate lets
them run and what shows through row order and choice of rows is found. The other half wraps them in anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from corpus.cases import Case, Protocol
from generator import shapes
from generator.choices import Choices
from generator.schemas import Col, Made, Rel

FORMS: tuple[dict[str, object], ...] = (
    {},
    {"extended": True},
    {"extended": True, "binary": True},
    {"extended": True, "fetch": 1},
    {"extended": True, "pipeline": True},
    {"after_failure": True},
    {"extended": True, "binary": True, "fetch": 1},
)


@dataclass(frozen=True, slots=True)
class Item:
    """A FROM item: its alias and what it offers."""

    alias: str
    columns: tuple[Col, ...]


@dataclass
class Grammar:
    """Writes one statement."""

    choices: Choices
    made: Made
    tame: bool = False
    clear: bool = False
    aliases: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def relations(self) -> list[Rel]:
        """What may be named; clear statements leave out what a masked value decides."""
        return [rel for rel in self.made.relations if not (self.clear and rel.decided)]

    # columns

    def pick(self, items: list[Item], family: str = "", *, masked: bool | None = None) -> tuple[str, Col] | None:
        """A column of the FROM items, qualified."""
        found = [
            (f"{item.alias}.{c.name}", c)
            for item in items
            for c in item.columns
            if (not family or c.family == family)
            and (masked is None or bool(c.sort) == masked)
            and not (self.clear and c.sort)
        ]
        return self.choices.one_of(found) if found else None

    def plain(self, items: list[Item], family: str, default: str) -> str:
        """A column that is not masked."""
        found = self.pick(items, family, masked=False)
        return found[0] if found else default

    # expressions; wild ones may use masked columns anywhere

    def text(self, items: list[Item], depth: int = 2) -> str:
        """An expression of type text."""
        found = None if self.tame else self.pick(items)
        leaf = f"{found[0]}::text" if found else self.plain(items, "text", "'x'")
        if depth <= 0 or not self.choices.chance(70):
            return leaf
        inner = self.text(items, depth - 1)
        make = self.choices.one_of(_TEXT)
        return make.replace("{t}", inner).replace("{u}", self.text(items, 0)).replace("{n}", self.number(items, 0)).replace(
            "{b}", self.boolean(items, 0)).replace("{l}", self.literal())  # fmt: skip

    def number(self, items: list[Item], depth: int = 1) -> str:
        """An expression of a number type."""
        leaf = self.plain(items, "num", "1")
        if not self.tame and self.choices.chance(40):
            found = self.pick(items, "num")
            leaf = found[0] if found else leaf
        if depth <= 0 or self.tame:
            return leaf
        make = self.choices.one_of(_NUMBER)
        return make.replace("{n}", leaf).replace("{t}", self.text(items, depth - 1)).replace("{d}", self.date(items))

    def date(self, items: list[Item]) -> str:
        """An expression of a date type."""
        found = self.pick(items, "date", masked=None if not self.tame else False)
        return found[0] if found else "timestamptz '2026-01-01 00:00+00'"

    def literal(self) -> str:
        """A constant, often a stored value: a guess that is right."""
        pools = [pool for sort, pool in self.made.pools.items() if "array" not in sort]
        if pools and self.choices.chance(60):
            return f"'{self.choices.one_of(self.choices.one_of(pools))}'"
        return self.choices.one_of(["'m'", "'4'", "'a%'", "'%5%'", "''"])

    def boolean(self, items: list[Item], depth: int = 1) -> str:
        """A condition."""
        if self.tame:
            return self._tame_condition(items)
        make = self.choices.one_of(_CONDITIONS)
        inner = self.boolean(items, depth - 1) if depth > 0 and "{b}" in make else "true"
        rel = self.choices.one_of(self.relations)
        other = self.pick([Item("q", rel.columns)])
        return (
            make.replace("{t}", self.text(items, depth)).replace("{u}", self.text(items, 0)).replace("{n}", self.number(items, 0))
            .replace("{l}", self.literal()).replace("{k}", self.literal()).replace("{b}", inner).replace("{d}", self.date(items))
            .replace("{r}", rel.name).replace("{o}", other[0] if other else "q.id")
        )  # fmt: skip

    def _tame_condition(self, items: list[Item]) -> str:
        number = self.plain(items, "num", "1")
        text = self.plain(items, "text", "'aa'")
        found = self.pick(items, masked=True)
        masked = found[0] if found else number
        rel = self.choices.one_of(self.relations)
        forms = [f"{number} < 20", f"{text} = 'aa'", f"{number} IN (1, 2, 3)", f"{masked} IS NOT NULL", f"{masked} IS NULL OR {number} > 2",
                 f"EXISTS (SELECT 1 FROM {rel.name} q WHERE q.n = {number})"]  # fmt: skip
        if found is not None:
            same = self._same_class(found[1])
            if same is not None:
                forms += [
                    f"{masked} IN (SELECT q.{same[1]} FROM {same[0]} q WHERE q.n < 2)",
                    f"NOT EXISTS (SELECT 1 FROM {same[0]} q WHERE q.{same[1]} = {masked} AND q.id > 9)",
                    f"{masked} = (SELECT q.{same[1]} FROM {same[0]} q WHERE q.id = 7)",
                    f"{masked} IS DISTINCT FROM (SELECT q.{same[1]} FROM {same[0]} q WHERE q.id = 3)",
                ]
        return self.choices.one_of(forms)

    def _same_class(self, column: Col) -> tuple[str, str] | None:
        found = [(r.name, c.name) for r in self.relations for c in r.columns if c.sort == column.sort and c.injective]
        return self.choices.one_of(found) if found and column.injective else None

    # FROM

    def item(self, depth: int) -> tuple[str, Item]:
        """One FROM item as text, and what it offers."""
        self.aliases += 1
        alias = f"r{self.aliases}"
        if depth > 0 and self.choices.chance(22):
            text, columns = self.select(depth - 1)
            return f"({text}) {alias}", Item(alias, columns)
        rel = self.choices.one_of(self.relations)
        sample = " TABLESAMPLE BERNOULLI (60) REPEATABLE (3)" if rel.writable and self.choices.chance(4) else ""
        only = "ONLY " if rel.writable and self.choices.chance(5) else ""
        columns = tuple(c for c in rel.columns if not c.sort) if self.clear else rel.columns
        return f"{only}{rel.name} {alias}{sample}", Item(alias, columns)

    def sources(self, depth: int) -> tuple[str, list[Item]]:
        """A FROM clause."""
        text, first = self.item(depth)
        items = [first]
        for _ in range(self.choices.one_of([0, 0, 1, 1, 2])):
            other, item = self.item(depth)
            kind = self.choices.one_of(
                ["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", ",", "CROSS JOIN LATERAL", "NATURAL"]
            )
            if kind == ",":
                text += f", {other}"
            elif kind == "CROSS JOIN LATERAL":
                value = self.pick(items)
                self.aliases += 1
                alias = f"r{self.aliases}"
                rel = self.choices.one_of(self.relations).name
                number = self.plain(items, "num", "1")
                pieces = f"SELECT q.s AS l0 FROM {rel} q WHERE q.n = {number} ORDER BY q.id LIMIT 2"
                inner = self.choices.one_of([f"SELECT {value[0] if value else '1'} AS l0", pieces])
                column = value[1] if value and inner is not pieces else Col("l0", "text", "text")
                text += f" CROSS JOIN LATERAL ({inner}) {alias}"
                item = Item(alias, (Col("l0", column.type, column.family, column.sort, column.injective),))
            elif kind == "NATURAL":
                text += f" JOIN {other} USING (n)"
            else:
                text += f" {kind} {other} ON {self.join_condition(items, item)}"
            items.append(item)
        return text, items

    def join_condition(self, left: list[Item], right: Item) -> str:
        """How two items are joined: by a key, by a class, or by anything."""
        pairs = [
            (f"{i.alias}.{c.name}", f"{right.alias}.{d.name}")
            for i in left
            for c in i.columns
            for d in right.columns
            if c.sort and c.sort == d.sort and c.injective
        ]
        if pairs and self.choices.chance(55):
            one, other = self.choices.one_of(pairs)
            return f"{one} = {other}"
        if not self.tame and self.choices.chance(20):
            return self.boolean([*left, right], 0)
        return f"{self.plain(left, 'num', '1')} = {self.plain([right], 'num', '1')}"

    # SELECT

    def target(self, items: list[Item]) -> tuple[str, Col]:
        """One entry of a select list, without its name."""
        masked = self.pick(items, masked=True)
        if masked and self.choices.chance(60 if self.tame else 30):
            return masked
        if self.tame:
            number, part = self.plain(items, "num", "1"), masked[0] if masked else "1"
            order = f"{self.plain(items, 'num', '1')}, {items[0].alias}.{items[0].columns[0].name}"
            text = self.choices.one_of([
                number, self.plain(items, "text", "'x'"), f"{number} + 1",
                f"row_number() OVER (PARTITION BY {part})", f"row_number() OVER (PARTITION BY {part} ORDER BY {order})",
                f"count(*) OVER (PARTITION BY {part})", f"rank() OVER (ORDER BY {number})", f"lag({number}) OVER (PARTITION BY {part})",
                f"first_value({number}) OVER (PARTITION BY {part})", f"sum({number}) OVER (ORDER BY {number})",
            ])  # fmt: skip
            return text, Col("", "numeric", "num")
        which = self.choices.below(5)
        if which == 0:
            return self.number(items), Col("", "numeric", "num")
        if which == 1:
            return f"({self.boolean(items)})", Col("", "boolean", "bool")
        if which == 2:
            function = self.choices.one_of(self.made.functions) if self.made.functions else "{t}"
            return function.replace("{n}", self.number(items, 0)).replace("{t}", self.text(items, 0)), Col(
                "", "text", "text"
            )
        if which == 3:
            anything = self.pick(items)
            over = self.choices.one_of(["row_number()", "rank()", f"count({anything[0] if anything else '*'})", "ntile(3)",
                                        f"first_value({anything[0] if anything else '1'}::text)"])  # fmt: skip
            return f"{over} OVER (ORDER BY {self.text(items, 1)})::text", Col("", "text", "text")
        return self.text(items), Col("", "text", "text")

    def select(self, depth: int = 1, *, top: bool = False) -> tuple[str, tuple[Col, ...]]:
        """A SELECT and its columns, named c0, c1 and so on."""
        if depth > 0 and self.choices.chance(12):
            return self.set_operation(depth)
        source, items = self.sources(depth)
        grouped = self.choices.chance(28)
        parts = self.grouped(items) if grouped else [self.target(items) for _ in range(1 + self.choices.below(3))]
        star = top and not grouped and self.choices.chance(6)
        listed = "*" if star else ", ".join(f"{text} AS c{i}" for i, (text, _) in enumerate(parts))
        columns = tuple(Col(f"c{i}", c.type, c.family, c.sort, c.injective) for i, (_, c) in enumerate(parts))
        text = f"SELECT {self.distinct(items, grouped=grouped)}{listed} FROM {source}"
        if self.choices.chance(45):
            text += f" WHERE {self.boolean(items)}"
        if grouped:
            text += self.group_clause(items, parts)
        return text + self.tail(items, parts, grouped=grouped or star), columns

    def grouped(self, items: list[Item]) -> list[tuple[str, Col]]:
        """A select list for GROUP BY: keys first, then aggregates."""
        masked = self.pick(items, masked=True)
        keys = (
            [masked]
            if masked and self.choices.chance(70)
            else [(self.plain(items, "text", "'x'"), Col("", "text", "text"))]
        )
        if not self.tame and self.choices.chance(40):
            keys = [(self.text(items, 1), Col("", "text", "text"))]
        number, part = self.plain(items, "num", "1"), masked[0] if masked else "1"
        tame = [f"count({part})", "count(*)", f"count(DISTINCT {part})", f"sum({number})", f"min({number})", f"array_agg({number})::text",
                f"array_agg({number} ORDER BY {number})::text", f"string_agg({self.plain(items, 'text', 'chr(97)')}, ',')"]  # fmt: skip
        wild = [f"max({part}::text)", f"string_agg({part}::text, ',')", f"array_agg({part})::text", f"count(*) FILTER (WHERE {self.boolean(items, 0)})",
                f"bool_or({self.boolean(items, 0)})", f"mode() WITHIN GROUP (ORDER BY {part})::text", f"json_agg({part})::text",
                f"sum(length({part}::text))"]  # fmt: skip
        chosen = self.choices.one_of(tame if self.tame else [*tame, *wild])
        return [*keys, (chosen, Col("", "text", "text"))]

    def group_clause(self, items: list[Item], parts: list[tuple[str, Col]]) -> str:
        """GROUP BY with sets now and then, HAVING now and then."""
        key = parts[0][0]
        text = " GROUP BY " + self.choices.one_of([key, "1", f"ROLLUP ({key}, {self.plain(items, 'num', '1')})",
                                                   f"GROUPING SETS (({key}), ())"])  # fmt: skip
        if self.choices.chance(15):
            text += " HAVING count(*) > 1" if self.tame else f" HAVING max({self.text(items, 0)}) > {self.literal()}"
        return text

    def distinct(self, items: list[Item], *, grouped: bool) -> str:
        """DISTINCT and DISTINCT ON."""
        if grouped or not self.choices.chance(16):
            return ""
        masked = self.pick(items, masked=True)
        return self.choices.one_of(["DISTINCT ", f"DISTINCT ON ({masked[0] if masked else '1'}) ",
                                    f"DISTINCT ON ({self.plain(items, 'num', '1')}) "])  # fmt: skip

    def tail(self, items: list[Item], parts: list[tuple[str, Col]], *, grouped: bool) -> str:
        """ORDER BY, LIMIT, OFFSET."""
        text = ""
        if self.choices.chance(50):
            keys = [str(self.choices.below(len(parts)) + 1)]
            if not grouped:
                keys = self.choices.one_of([
                    [f"{items[0].alias}.{items[0].columns[0].name}"], keys, [self.plain(items, "num", "1")],
                    [self.plain(items, "text", "1"), f"{items[0].alias}.{items[0].columns[0].name}"],
                    [self.text(items, 1)] if not self.tame else keys,
                ])  # fmt: skip
            text += f" ORDER BY {', '.join(keys)}" + self.choices.one_of(["", "", " DESC", " NULLS FIRST"])
        if self.choices.chance(35):
            limit = str(1 + self.choices.below(9))
            if not self.tame and self.choices.chance(12):
                rel = self.choices.one_of(self.relations)
                other = self.pick([Item("q", rel.columns)])
                limit = f"(SELECT length({other[0] if other else 'q.s'}::text) FROM {rel.name} q WHERE q.id = 3)"
            text += f" LIMIT {limit}" + (f" OFFSET {self.choices.below(5)}" if self.choices.chance(25) else "")
        return text

    def set_operation(self, depth: int) -> tuple[str, tuple[Col, ...]]:
        """UNION, INTERSECT, EXCEPT of one class or of anything."""
        left, right = self.choices.one_of(self.relations), self.choices.one_of(self.relations)
        operator = self.choices.one_of(["UNION ALL", "UNION", "INTERSECT", "EXCEPT", "EXCEPT ALL"])
        first = self.pick([Item("q", left.columns)], masked=True) or ("q.s", PLAIN_TEXT)
        same = [c for c in right.columns if c.sort == first[1].sort and c.family == first[1].family]
        second = self.choices.one_of(same).name if same else "s"
        if not self.tame and self.choices.chance(40):
            one, other = self.text([Item("q", left.columns)], 1), self.text([Item("q", right.columns)], 1)
        else:
            one, other = first[0], f"q.{second}"
            if first[1].family != "text" or not same:
                one, other = ("q.s", "q.s") if self.tame and not same else (one, other)
        text = f"SELECT {one} AS c0 FROM {left.name} q WHERE q.n < 3 {operator} SELECT {other} FROM {right.name} q"
        if self.choices.chance(40):
            text += self.choices.one_of([" ORDER BY 1", " LIMIT 4", " ORDER BY 1 LIMIT 3"])
        del depth
        return text, (Col("c0", first[1].type, first[1].family, first[1].sort, first[1].injective),)

    # shapes

    def masked_text(self, relation: Rel) -> str:
        """An expression over alias `a`."""
        return self.text([Item("a", relation.columns)], 1)

    def masked_condition(self, relation: Rel) -> str:
        """A condition over alias `a`."""
        return self.boolean([Item("a", relation.columns)], 0)

    # statements

    def statements(self) -> tuple[str, ...]:
        """The statements of one case."""
        text, columns = self.select(1 + self.choices.below(2), top=not self.clear)
        if self.clear:
            return (text,)
        which = self.choices.below(30)
        if which == 1:
            return (
                "BEGIN",
                f"DECLARE c1 CURSOR FOR {text}",
                "FETCH 3 FROM c1",
                "MOVE 1 IN c1",
                "FETCH 2 FROM c1",
                "COMMIT",
            )
        if which == 2:
            return (
                f"COPY ({text}) TO STDOUT" + self.choices.one_of(["", " (FORMAT csv, HEADER)", " (FORMAT binary)"]),
            )
        if which == 3:
            return (
                self.choices.one_of(
                    ["EXPLAIN ", "EXPLAIN (COSTS OFF) ", "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, COSTS OFF) "]
                )
                + text,
            )
        if which == 4:
            return (f"PREPARE p1 AS {text}", "EXECUTE p1", "DEALLOCATE p1")
        if which == 5:
            names = ", ".join(f"w{i}" for i in range(len(columns)))
            return (
                (f"WITH w({names}) AS ({text}) SELECT * FROM w" + self.choices.one_of(["", " ORDER BY 1", " LIMIT 3"]),)
                if columns
                else (text,)
            )
        if which == 6:
            return ("SELECT 1", f"SELECT count(*) FROM ({text}) z", "SELECT 2")
        if which in (7, 8, 9, 10):
            return self.write(text)
        if which == 11:
            return (f"SELECT 1/0; {text}", text)
        if which == 12:
            read = self.choices.one_of(
                [
                    "SELECT * FROM loot",
                    "SELECT count(*), (SELECT z FROM loot z LIMIT 1) FROM loot",
                    "COPY loot TO STDOUT",
                ]
            )
            return (f"CREATE TEMP TABLE loot AS {text}", read, "DROP TABLE IF EXISTS loot")
        if which == 13:
            rel = self.choices.one_of(self.relations)
            return (self.choices.one_of([f"TABLE {rel.name}", f"COPY {rel.name} TO STDOUT", f"SELECT z FROM {rel.name} z ORDER BY z.id",
                                         f"SELECT to_jsonb(z) FROM {rel.name} z WHERE z.id = 3", f"SELECT tableoid::regclass, ctid FROM {rel.name} ORDER BY id",
                                         "SELECT * FROM f_rows() LIMIT 3"]),)  # fmt: skip
        return (text,)

    def write(self, query: str) -> tuple[str, ...]:
        """A write that is kept or rolled back."""
        rel = self.choices.one_of([r for r in self.relations if r.writable])
        item = [Item(rel.name, rel.columns)]
        masked = self.pick(item, masked=True)
        name = masked[1].name if masked else "s"
        value = self.choices.one_of(["'x@y'", self.literal(), name, f"{rel.name}.s", "NULL"])
        returning = " RETURNING " + self.choices.one_of([name, "id", "*", f"upper({name}::text)"])
        text = self.choices.one_of([
            f"UPDATE {rel.name} SET n = 1 WHERE id = 5" + returning,
            f"UPDATE {rel.name} SET {name} = {value} WHERE id = 5",
            f"UPDATE {rel.name} SET s = {self.text(item, 1)} WHERE id = 4" + returning,
            f"UPDATE {rel.name} SET n = 1 WHERE id = 5 AND {self.boolean(item, 0)}",
            f"INSERT INTO {rel.name}(id, n, s, {name}) VALUES (900, 1, 'q', {value})",
            f"INSERT INTO {rel.name}(id, n, s) SELECT 901, count(*), 'q' FROM ({query}) z",
            f"DELETE FROM {rel.name} WHERE id = 6" + returning,
            f"DELETE FROM {rel.name} WHERE id = 6 AND {self.boolean(item, 0)}",
            f"INSERT INTO {rel.name}(id, n, s, {name}) VALUES (3, 1, 'q', {value}) ON CONFLICT (id) DO UPDATE SET s = 'z'" + returning,
            f"MERGE INTO {rel.name} USING (SELECT 5 AS k) m ON m.k = {rel.name}.id WHEN MATCHED THEN UPDATE SET s = {self.text(item, 1)}",
        ])  # fmt: skip
        return (text,) if self.choices.chance(60) else ("BEGIN", text, "ROLLBACK")


TAME, WILD = "tame", "wild"
CLEAR = "clear"
"""The technique of statements that use no masked column: they must run, and show what the server shows."""

PLAIN_TEXT = Col("s", "text", "text")

_TEXT = (
    "upper({t})", "lower({t})", "left({t}, 3)", "right({t}, 4)", "substr({t}, 2, 3)", "reverse({t})", "{t} || {u}", "md5({t})",
    "replace({t}, '-', '')", "coalesce({t}, {l})", "CASE WHEN {b} THEN {t} ELSE 'no' END", "nullif({t}, {l})", "greatest({t}, {u})",
    "split_part({t}, '@', 2)", "translate({t}, '0123', 'abcd')", "lpad({t}, 30, '*')", "regexp_replace({t}, '[0-9]', '', 'g')",
    "concat({t}, {u})", "format('%s', {t})", "quote_literal({t})", "encode(convert_to({t}, 'UTF8'), 'base64')", "initcap({t})",
    "(jsonb_build_object('k', {t})->>'k')", "(ARRAY[{t}, {u}])[1]", "(SELECT max({t}))", "array_to_string(string_to_array({t}, 'a'), '.')",
    "to_json({t})::text", "({t})::varchar(5)::text", "(SELECT string_agg(z, '') FROM unnest(string_to_array({t}, NULL)) z)",
    "CASE {t} WHEN {l} THEN 'hit' ELSE 'miss' END", "to_tsvector('simple', {t})::text", "repeat({t}, {n}::int % 3)", "(ROW({t}, 1))::text",
    "least({t}, {l})", "btrim({t}, 'a')", "overlay({t} placing '##' from 2)", "(quote_nullable({t}))", '({t} COLLATE "C")',
)  # fmt: skip

_NUMBER = (
    "{n}", "length({t})", "ascii({t})", "position('7' IN {t})", "({n} + length({t}))", "hashtext({t})", "octet_length({t})",
    "extract(year FROM {d})::int", "extract(epoch FROM {d})", "(regexp_replace({t}, '[^0-9]', '', 'g'))::numeric", "({t})::bigint",
    "strpos({t}, 'e')", "(SELECT count(*) FROM regexp_split_to_table({t}, 'a'))", "100 / nullif(length({t}) - 11, 0)", "1 / (ascii({t}) - 109)",
    "width_bucket({n}, 0, 100, 7)", "pg_column_size({t})",
)  # fmt: skip

_CONDITIONS = (
    "{t} = {l}", "{t} < {l}", "{t} LIKE {l}", "{t} IN ({l}, {k})", "{t} BETWEEN {l} AND {k}", "{t} ~ '[5-9]$'", "NOT ({b})", "{b} AND {t} <> {l}",
    "{t} = {u}", "{t} > {u}", "{n} > 10", "{d} > '1970-01-01'", "EXISTS (SELECT 1 FROM {r} q WHERE {o}::text = {t})",
    "{t} = (SELECT min({o}::text) FROM {r} q)", "{t} IN (SELECT {o}::text FROM {r} q WHERE q.n < 2)", "({t}, {n}) > ({l}, 3)",
    "{t} IS DISTINCT FROM {l}", "starts_with({t}, 'a')", "{t} ILIKE '%a%'", "{t} = ANY (ARRAY[{l}, {k}])", "({t} IS NULL) = (length({u}) > 9)",
    "to_tsvector('simple', {t}) @@ to_tsquery('simple', 'abc')", "{t} = {l} OR {n} = 1", "(CASE WHEN {t} > {l} THEN 1 ELSE 0 END) = 1",
)  # fmt: skip


def make_case(choices: Choices, made: Made, name: str) -> Case:
    """One case in one form of the protocol."""
    clear = choices.chance(15)
    tame = clear or choices.chance(50)
    form = {} if clear else dict(choices.one_of(FORMS))
    grammar = Grammar(choices, made, tame, clear)
    shape = 0 if clear else choices.below(20)
    if shape < 9:
        statements = grammar.statements()
    elif shape < 16:
        statements = (shapes.single(grammar, tame=tame),)
    elif shape < 18 and not tame:
        statements = shapes.several(grammar)
    else:
        text, *values = shapes.bound(grammar)
        statements = (text,)
        form |= {"extended": True, "bind": tuple(values), "binary_bind": choices.chance(30)}
        form.pop("after_failure", None)
    return Case(
        name, CLEAR if clear else TAME if tame else WILD, "EITHER", "generated", ("; ".join(statements),), statements,
        Protocol(**form), special=bool(form),  # type: ignore[arg-type]
    )  # fmt: skip
