"""Which statements are explained with NULL in the place of masked columns: those whose plan no masked value has a part in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockgate.errors import RefusedStatementError
from lockgate.masking.stand_in_plan import plan_without
from lockgate.model.catalog import Index, Relation
from lockgate.model.statement import Analysis, Opaque, UseKind
from masking.test_plan import CATALOG, CLIENT, KEY, MAIL, MASKED, OPEN, TABLE, statement, use

SHOWN = statement(use(UseKind.OUTPUT, MAIL), use(UseKind.CONTROL, OPEN))


def index(
    *columns: int, clustered: bool = False, partial: bool = False, expression: frozenset[int] = frozenset()
) -> Index:
    return Index(1, "i", columns, expression, unique=False, partial=partial, immediate=True, clustered=clustered)


def explained(analysis: Analysis = SHOWN, relation: Relation = CLIENT, unsafe: frozenset[int] = frozenset()) -> bool:
    catalog = replace(CATALOG, relations={TABLE: relation})
    try:
        made = plan_without(analysis, catalog=catalog, masked=MASKED.masked, unsafe_order=unsafe)
    except RefusedStatementError:
        return False
    return made.stand_ins and made.touches_labelled and not made.columns


def test_a_statement_that_only_shows_masked_columns_is_explained() -> None:
    assert explained()
    assert explained(relation=replace(CLIENT, indexes=(index(2), index(8, 2), index(1, clustered=True))))
    assert explained(relation=replace(CLIENT, indexes=(index(0, expression=frozenset({2})),)))


@pytest.mark.parametrize(
    "kind", [UseKind.EQUAL, UseKind.GROUP, UseKind.COUNT, UseKind.NULL_TEST, UseKind.CONTROL, UseKind.TRANSFORM]
)
def test_a_masked_value_that_decides_anything_is_not_explained(kind: UseKind) -> None:
    assert not explained(statement(use(kind, MAIL)))
    assert explained(statement(use(kind, KEY)))


@pytest.mark.parametrize(
    "relation",
    [
        replace(CLIENT, partition_columns=frozenset({2})),
        replace(CLIENT, indexes=(index(2, 8),)),
        replace(CLIENT, indexes=(index(2, clustered=True),)),
        replace(CLIENT, indexes=(index(0, expression=frozenset({2}), partial=True),)),
        replace(CLIENT, indexes=(index(0, 8, expression=frozenset({2})),)),
        replace(CLIENT, children=(TABLE + 1,)),
    ],
)
def test_where_masked_values_lay_rows_out_nothing_is_explained(relation: Relation) -> None:
    assert not explained(relation=relation)


def test_what_cannot_be_seen_into_is_not_explained() -> None:
    assert not explained(replace(SHOWN, opaque=(Opaque("function x", "unknown"),)))
    assert not explained(unsafe=frozenset({TABLE}))
