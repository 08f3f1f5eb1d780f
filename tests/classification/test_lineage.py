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
        (output(1), ("text.free", 0.8, "lineage")),
        (output(1, 2, 3), ("text.free", 0.8, "lineage")),
        (output(2, 4, plain=True), ("secret.credential", 0.8, "lineage")),
        (output(3, plain=True), ("none", 1.0, "lineage")),
        (output(), ("none", 1.0, "lineage")),
        (output(9), ("unknown", 0.8, "lineage")),
        (output(9, 1), ("text.free", 0.8, "lineage")),
    ],
)
def test_a_view_column_keeps_the_label_of_an_unchanged_source_and_withholds_a_computed_one(
    given: Output, expected: tuple[str, float, str]
) -> None:
    assert propagate(label_of, [given]) == [expected]


def test_an_unchanged_column_keeps_every_label() -> None:
    for label in LABELS:
        ((found, _, _),) = propagate(lambda _, label=label: label, [output(1, plain=True)])  # type: ignore[misc]
        assert found == label


def test_what_was_computed_from_sensitive_values_is_no_value_of_their_class() -> None:
    for label in LABELS:
        ((found, _, _),) = propagate(lambda _, label=label: label, [output(1, 2)])  # type: ignore[misc]
        assert found == {"none": "none", "unknown": "unknown", "secret.credential": "secret.credential",
                         "derived.embedding": "derived.embedding"}.get(label, "text.free")  # fmt: skip
