"""Labels of views."""

from __future__ import annotations

import pytest

from lockgate.classification.lineage import propagate
from lockgate.model.catalog import LABELS, ColumnRef
from lockgate.model.statement import Output

LABEL = {1: "person.email", 2: "person.name", 3: "none", 4: "secret.credential"}


def label_of(ref: ColumnRef) -> str | None:
    return LABEL.get(ref.attnum)


def output(*columns: int, plain: bool = False) -> Output:
    return Output("x", 25, frozenset(ColumnRef(1, c) for c in columns), plain)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (output(1, plain=True), ("person.email", 1.0, "lineage")),
        (output(1), ("person.email", 0.8, "lineage")),
        (output(1, 2, 3), ("person.email", 0.8, "lineage")),
        (output(2, 4, plain=True), ("secret.credential", 0.8, "lineage")),
        (output(3, plain=True), ("none", 1.0, "lineage")),
        (output(), ("none", 1.0, "lineage")),
        (output(9), ("unknown", 0.8, "lineage")),
        (output(9, 1), ("person.email", 0.8, "lineage")),
    ],
)
def test_a_view_column_has_the_most_sensitive_label_of_its_sources(
    given: Output, expected: tuple[str, float, str]
) -> None:
    assert propagate(label_of, [given]) == [expected]


def test_every_label_has_a_place_in_the_order_of_sensitivity() -> None:
    for label in LABELS:
        ((found, _, _),) = propagate(lambda _, label=label: label, [output(1, 2)])  # type: ignore[misc]
        assert found == label
