"""Labels of view columns from the columns they are made of.

For: views and materialised views, and what any computation leaves of a label. Not for: analysing their definition; `sql` does, and its outputs are the argument here.
Source: masking.md 4.2 ("propagate classes along lineage").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lockgate.model.catalog import Column, ColumnRef
from lockgate.model.statement import Output

_MOST_SENSITIVE_FIRST: tuple[str, ...] = (
    "secret.credential", "payment.card", "payment.iban", "person.national_id", "health.code", "finance.salary",
    "person.email", "person.phone", "person.name", "person.address", "person.birth_date", "location.coordinates",
    "network.address", "network.mac", "derived.embedding", "text.free", "amount.other", "unknown", "none",
)  # fmt: skip
"""Labels in the order in which their loss hurts."""


def propagate(
    label_of: Callable[[ColumnRef], str | None], provenance: Sequence[Output]
) -> list[tuple[str, float, str]]:
    """A label for every output of a view.

    An unchanged column keeps its label. A changed or mixed one gets what `mixed` says; one that depends on nothing is `none`.

    Args:
        label_of: label of a base column, None when it is not known (then `unknown`).
        provenance: outputs of the analysis of the view's own definition, in order.

    Returns:
        (label, score, `lineage`) per output.
    """
    found: list[tuple[str, float, str]] = []
    for output in provenance:
        labels = {label_of(source) or "unknown" for source in output.sources} or {"none"}
        certain = output.plain and len(labels) == 1
        label = min(labels, key=_rank) if certain else mixed(labels)
        found.append((label, 1.0 if certain or not output.sources else 0.8, "lineage"))
    return found


def mixed(labels: Iterable[str]) -> str:
    """The label of values computed from columns with these labels.

    Something of a sensitive value may be left in them, but they are no values of its class: comparing or grouping them would show
    more than which values of the class are equal. So they get a label whose mask shows nothing and compares with nothing.
    """
    found = set(labels)
    for label in ("secret.credential", "derived.embedding"):
        if label in found:
            return label
    if found - {"none", "unknown"}:
        return "text.free"
    return "unknown" if "unknown" in found else "none"


def sensitivity(column: Column) -> str:
    """The label of a base column; a document with labelled paths counts as free text."""
    return "text.free" if column.label in ("none", "unknown") and column.json_labels else column.label


def _rank(label: str) -> int:
    """Position in the order of sensitivity; a label that is not in it counts as the most sensitive."""
    return _MOST_SENSITIVE_FIRST.index(label) if label in _MOST_SENSITIVE_FIRST else -1
