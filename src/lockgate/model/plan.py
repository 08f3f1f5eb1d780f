"""A mask plan: what happens to each output column of one statement, and to the order of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lockgate.model.catalog import ColumnRef
from lockgate.model.statement import Given


class Disposition(str, Enum):
    """What the client gets of a column."""

    CLEAR = "clear"
    MASKED = "masked"


class Order(str, Enum):
    """What the gate does about the order of rows."""

    KEEP = "keep"  # the server's order does not depend on masked values
    SORT = "sort"  # buffer all rows, sort them by their masked bytes
    SORT_TIES = "sort-ties"  # keep the order by `tie_columns`, sort rows that tie


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """One output column: its name, label (`none` when clear and unlabelled), disposition, mask rule and type.

    `column` is the base column's `schema.table.column` for the record. `json_labels` as in `Column`. `fields` are the columns of a
    whole row that is one value, each with its type modifier.
    """

    name: str
    column: str
    label: str
    disposition: Disposition
    rule: str
    type_oid: int
    json_labels: tuple[tuple[tuple[str, ...], str], ...] = ()
    fields: tuple[tuple[ColumnPlan, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Lookup:
    """A value of the client's that is compared with masked columns: it must be opened as a pseudonym before the database sees it.

    Args:
        given: which value.
        label: of the columns.
        type_oid: of the columns, domains looked through.
        given_type: of the value; an array's elements are opened one by one.
        exact: an opened value always fits `given_type`, so that a cast to it cannot fail.
    """

    given: Given
    label: str
    type_oid: int
    given_type: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Sought:
    """A value that is looked for among stand-ins: opened like any other, then shown as the column shows it.

    Args:
        lookup: the value.
        column: one of the columns it is compared with; all of them have the same stand-ins.
        text: the opened constant as SQL; empty for a parameter, which is opened when it is bound.
    """

    lookup: Lookup
    column: ColumnRef
    text: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the answer of one statement is treated.

    Args:
        columns: one per output column; empty when there is no result or nothing labelled is involved.
        masks: any column masked.
        touches_labelled: the statement names a relation with masked columns: its errors and notices become fixed text.
        order: what happens to the order of rows.
        tie_columns: output positions for SORT_TIES.
        lookups: values to open before the statement is forwarded; a plan with any must not be forwarded as it came.
        stand_ins: the statement was rewritten: what is shown was computed from stand-ins, and no row is changed on its way.
        errors_alike: which row fails first would tell an order, so all errors that rows can make look the same.
    """

    columns: tuple[ColumnPlan, ...] = ()
    masks: bool = False
    touches_labelled: bool = False
    order: Order = Order.KEEP
    tie_columns: tuple[int, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    stand_ins: bool = False
    errors_alike: bool = False


PASS = Plan()
"""The plan of a statement that touches nothing labelled."""
