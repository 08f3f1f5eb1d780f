from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lockgate.errors import RefusedStatementError
from lockgate.masking.plan import make_plan
from lockgate.model.catalog import Catalog, Column, ColumnRef, Index, Relation, Type
from lockgate.model.decision import Clearance
from lockgate.model.plan import Disposition, Order, Plan
from lockgate.model.statement import Analysis, Kind, Level, Opaque, Output, SortKey, Use, UseKind, WriteFact

TEXT, NUMBER, TEXTS, NUMERIC = 25, 20, 1009, 1700
TABLE = 20_000
KEY, MAIL, OTHER_MAIL, TAX, BORN, MAILS, RATE, OPEN = (ColumnRef(TABLE, n) for n in range(1, 9))
COLUMNS = {
    1: Column(1, "id", NUMBER, -1, True, "none"),
    2: Column(2, "mail", TEXT, -1, False, "person.email"),
    3: Column(3, "second", TEXT, -1, False, "person.email"),
    4: Column(4, "tax", TEXT, -1, False, "person.national_id"),
    5: Column(5, "born", 1082, -1, False, "person.birth_date"),
    6: Column(6, "mails", TEXTS, -1, False, "person.email"),
    7: Column(7, "rate", NUMERIC, -1, False, "person.national_id"),
    8: Column(8, "open", TEXT, -1, False, "none"),
}
TYPES = {
    oid: Type(oid, "pg_catalog", name, "b", base, category)
    for oid, name, base, category in (
        (TEXT, "text", 0, "S"), (NUMBER, "int8", 0, "N"), (TEXTS, "_text", TEXT, "A"), (NUMERIC, "numeric", 0, "N"), (1082, "date", 0, "D"),
    )
}  # fmt: skip
CLIENT = Relation(TABLE, "public", "client", "r", COLUMNS)
CATALOG = Catalog("d", "test", 150000, 1, {TABLE: CLIENT}, {}, TYPES)
MASKED = Clearance(frozenset({MAIL, OTHER_MAIL, TAX, BORN, MAILS, RATE}), "test", 1)
EVERYTHING = Clearance(frozenset(), "test", 1)
TOP = Level(None, relations=frozenset({TABLE}))


def output(*sources: ColumnRef, plain: bool = True, literal: bool = False, kind: int = TEXT) -> Output:
    return Output("x", kind, frozenset(sources), plain, literal)


def statement(
    *uses: Use, outputs: tuple[Output, ...] = (output(KEY),), levels: tuple[Level, ...] = (TOP,), **more: Any
) -> Analysis:
    return replace(
        Analysis(Kind.SELECT, outputs=outputs, uses=uses, levels=levels, relations=frozenset({TABLE})), **more
    )


def use(kind: UseKind, *columns: ColumnRef, literal: bool = False) -> Use:
    return Use(kind, frozenset(columns), "operator x", literal)


def plan(analysis: Analysis, *, clearance: Clearance = MASKED, catalog: Catalog = CATALOG, **more: Any) -> Plan:
    return make_plan(analysis, **{"catalog": catalog, "clearance": clearance, "row_limited": False, **more})


def reason(analysis: Analysis, **more: Any) -> str:
    with pytest.raises(RefusedStatementError) as caught:
        plan(analysis, **more)
    return caught.value.reason


def test_a_bare_masked_column_gets_its_labels_rule() -> None:
    made = plan(statement(outputs=(output(MAIL), output(KEY, kind=NUMBER), output(BORN, kind=1082))))
    assert [c.disposition for c in made.columns] == [Disposition.MASKED, Disposition.CLEAR, Disposition.MASKED]
    assert [c.rule for c in made.columns] == ["pseudonym-email", "", "year"]
    assert made.columns[0].column == "public.client.mail"
    assert (made.masks, made.touches_labelled, made.order) == (True, True, Order.KEEP)


def test_who_may_see_everything_gets_everything() -> None:
    made = plan(statement(use(UseKind.TRANSFORM, MAIL), outputs=(output(MAIL, plain=False),)), clearance=EVERYTHING)
    assert not made.masks
    assert made.columns[0].label == "person.email"


def test_nothing_labelled_read_needs_no_column_plans() -> None:
    made = plan(statement())
    assert (made.columns, made.masks, made.touches_labelled) == ((), False, True)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (output(MAIL, plain=False), "transform"),
        (output(MAIL, literal=True), "mixed-output"),
        (output(MAIL, OPEN), "mixed-output"),
        (output(MAIL, TAX), "mixed-output"),
        (output(BORN, kind=TEXT, plain=False), "transform"),
    ],
)
def test_a_masked_output_must_be_one_class_unmixed(shown: Output, expected: str) -> None:
    assert reason(statement(outputs=(shown,))) == expected


def test_two_columns_of_one_class_may_stand_in_one_output() -> None:
    assert plan(statement(outputs=(output(MAIL, OTHER_MAIL),))).columns[0].label == "person.email"


@pytest.mark.parametrize("kind", [UseKind.EQUAL, UseKind.GROUP])
@pytest.mark.parametrize(
    ("columns", "literal", "expected"),
    [
        ((MAIL,), True, "compared-with-constant"), ((MAIL, OPEN), False, "mixed-columns"), ((MAIL, TAX), False, "mixed-classes"),
        ((BORN,), False, "not-comparable"), ((MAILS,), False, "not-comparable"), ((RATE,), False, "not-comparable"),
    ],
)  # fmt: skip
def test_equality_needs_one_class_with_a_mask_that_shows_it(
    kind: UseKind, columns: tuple[ColumnRef, ...], literal: bool, expected: str
) -> None:
    assert reason(statement(use(kind, *columns, literal=literal))) == expected


@pytest.mark.parametrize(
    "kept",
    [use(UseKind.EQUAL, MAIL, OTHER_MAIL), use(UseKind.GROUP, TAX), use(UseKind.COUNT, BORN), use(UseKind.NULL_TEST, MAILS),
     use(UseKind.TRANSFORM, OPEN), use(UseKind.EQUAL, OPEN, literal=True)],
)  # fmt: skip
def test_what_a_renaming_keeps_may_be_seen(kept: Use) -> None:
    assert not plan(statement(kept)).masks


@pytest.mark.parametrize("kind", [UseKind.TRANSFORM, UseKind.CONTROL])
def test_what_tells_more_is_refused_with_a_remedy(kind: UseKind) -> None:
    with pytest.raises(RefusedStatementError) as caught:
        plan(statement(use(kind, MAIL)))
    assert "`public.client.mail`" in caught.value.sentence
    assert "`operator x`" in caught.value.sentence
    assert "unmask" in caught.value.hint
    assert "person.email" in caught.value.hint


def test_what_cannot_be_seen_into_is_refused_by_name_for_the_masked_only() -> None:
    hidden = statement(opaque=(Opaque("function public.f", "it is defined by a user"),))
    assert reason(hidden) == "opaque"
    assert not plan(hidden, clearance=EVERYTHING).masks


@pytest.mark.parametrize(
    ("what", "theirs"),
    [("function public.f", True), ("function pg_catalog.pg_table_size", False), ("TABLESAMPLE", False)],
)
def test_whoever_is_refused_is_told_of_vouching_where_somebody_can_vouch(what: str, theirs: bool) -> None:
    with pytest.raises(RefusedStatementError) as caught:
        plan(statement(opaque=(Opaque(what, "why"),)))
    assert ("`lockgate catalog functions`" in caught.value.hint) == theirs


def test_explain_of_a_masked_column_is_refused() -> None:
    assert reason(statement(use(UseKind.OUTPUT, MAIL)), explain=True) == "explain"
    assert not plan(statement(use(UseKind.EQUAL, KEY, literal=True)), explain=True).masks


@pytest.mark.parametrize(
    ("done", "expected"),
    [(UseKind.WRITE_TARGET, "write-target"), (UseKind.WRITE_SOURCE, "write-source"), (UseKind.EQUAL, "write-predicate"),
     (UseKind.NULL_TEST, "write-predicate"), (UseKind.COUNT, "write-predicate"), (UseKind.CONTROL, "write-predicate")],
)  # fmt: skip
def test_a_write_may_not_touch_masked_values(done: UseKind, expected: str) -> None:
    facts = (WriteFact(Kind.UPDATE, TABLE, bounded=True, selective=True),)
    assert reason(statement(use(done, MAIL), kind=Kind.UPDATE, writes=facts)) == expected


def test_returning_a_bare_masked_column_is_masked() -> None:
    facts = (WriteFact(Kind.DELETE, TABLE, bounded=True, selective=True),)
    assert plan(statement(use(UseKind.OUTPUT, MAIL), outputs=(output(MAIL),), kind=Kind.DELETE, writes=facts)).masks


# order

TAINTED = replace(TOP, deciding=frozenset({MAIL}))
SHOWN = SortKey(0, frozenset({KEY}), plain=True, type_oid=NUMBER)
HIDDEN = replace(SHOWN, output=None)


@pytest.mark.parametrize(
    ("level", "order", "ties"),
    [
        (TOP, Order.KEEP, ()), (TAINTED, Order.SORT, ()), (replace(TAINTED, single_row=True), Order.KEEP, ()),
        (replace(TAINTED, sort=(SHOWN,), total=True), Order.KEEP, ()), (replace(TAINTED, sort=(SHOWN,)), Order.SORT_TIES, (0,)),
    ],
)  # fmt: skip
def test_order_is_kept_sorted_or_sorted_within_ties(level: Level, order: Order, ties: tuple[int, ...]) -> None:
    made = plan(statement(levels=(level,)))
    assert (made.order, made.tie_columns) == (order, ties)


def test_ties_by_a_key_that_is_not_shown_are_refused() -> None:
    assert reason(statement(levels=(replace(TAINTED, sort=(HIDDEN,)),))) == "row-order"


@pytest.mark.parametrize("way", ["row_limited", "cursor"])
def test_rows_fetched_piece_by_piece_need_an_order_of_their_own(way: str) -> None:
    piecewise: dict[str, Any] = {way: True}
    assert reason(statement(levels=(TAINTED,)), **piecewise) == "row-order"
    assert plan(statement(levels=(replace(TAINTED, sort=(SHOWN,), total=True),)), **piecewise).order is Order.KEEP


def test_a_choice_of_rows_by_a_tainted_order_is_refused_wherever_it_is() -> None:
    choosing = replace(TAINTED, parent=0, order_sensitive=("LIMIT",))
    assert reason(statement(levels=(replace(TOP, feeds=(1,)), choosing))) == "row-choice"
    above = replace(TOP, feeds=(1,), order_sensitive=("LIMIT",))
    assert reason(statement(levels=(above, replace(TAINTED, parent=0)))) == "row-choice"


@pytest.mark.parametrize("cleared", [{"single_row": True}, {"total": True, "sort": (SHOWN,)}])
def test_one_row_or_a_total_order_ends_the_taint(cleared: dict[str, Any]) -> None:
    below = replace(TAINTED, parent=0, **cleared)
    assert plan(statement(levels=(replace(TOP, feeds=(1,), order_sensitive=("LIMIT",)), below))).order is Order.KEEP


def index(*columns: int, inside: frozenset[int] = frozenset(), partial: bool = False, clustered: bool = False) -> Index:
    return Index(1, "i", columns, inside, unique=False, partial=partial, immediate=True, clustered=clustered)


@pytest.mark.parametrize(
    ("changes", "order"),
    [
        ({"indexes": (index(2),)}, Order.KEEP),
        ({"indexes": (index(1),)}, Order.KEEP),
        ({"indexes": (index(2, clustered=True),)}, Order.SORT),
        ({"indexes": (index(2, partial=True),)}, Order.SORT),
        ({"indexes": (index(8, 2),)}, Order.SORT),
        ({"indexes": (index(8, 0, inside=frozenset({2})),)}, Order.SORT),
        ({"indexes": (index(1, partial=True, clustered=True),)}, Order.KEEP),
        ({"partition_columns": frozenset({2})}, Order.SORT),
    ],
)
def test_stored_order_by_a_masked_column_taints(changes: dict[str, Any], order: Order) -> None:
    catalog = replace(CATALOG, relations={TABLE: replace(CLIENT, **changes)})
    assert plan(statement(), catalog=catalog).order is order


def test_a_relation_may_be_named_as_unsafe_from_outside() -> None:
    assert plan(statement(), unsafe_order=frozenset({TABLE})).order is Order.SORT
