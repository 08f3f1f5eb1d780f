"""Labels of partitions, children and generated columns."""

from __future__ import annotations

from dataclasses import replace

from lockgate.classification.kin import follow, remember
from lockgate.model.catalog import Column, Index, Relation


def relation(oid: int, **labels: str) -> Relation:
    """A table with text columns of these labels."""
    columns = {i: Column(i, name, 25, -1, False, label) for i, (name, label) in enumerate(labels.items(), 1)}
    return Relation(oid, "public", f"t{oid}", "r", columns)


def labels(found: Relation) -> list[str]:
    return [column.label for column in found.columns.values()]


def test_a_label_reaches_grandchildren_and_siblings_by_name() -> None:
    found = follow(
        {1: relation(1, id="none", mail="person.email"), 2: relation(2, mail="none"), 3: relation(3, mail="unknown")},
        [(2, 1), (3, 2)],
        [],
    )
    assert labels(found[2]) == labels(found[3]) == ["person.email"]
    assert (found[1].children, found[2].children) == ((2,), (3,))


def test_a_childs_label_reaches_its_parent_because_the_parent_shows_the_childs_rows() -> None:
    found = follow({1: relation(1, mail="none"), 2: relation(2, mail="person.email")}, [(2, 1)], [])
    assert labels(found[1]) == ["person.email"]


def test_a_partition_knows_by_which_columns_of_all_its_ancestors_its_rows_were_chosen() -> None:
    top = replace(relation(1, id="none", mail="person.email"), partition_columns=frozenset({2}))
    middle = replace(relation(2, mail="person.email", id="none"), partition_columns=frozenset({2}))
    found = follow({1: top, 2: middle, 3: relation(3, x="none", id="none", mail="person.email")}, [(2, 1), (3, 2)], [])
    assert [found[oid].chosen_by for oid in (1, 2, 3)] == [frozenset(), frozenset({1}), frozenset({2, 3})]


def test_two_different_labels_stay_as_they_are() -> None:
    found = follow({1: relation(1, x="person.name"), 2: relation(2, x="person.email")}, [(2, 1)], [])
    assert (labels(found[1]), labels(found[2])) == (["person.name"], ["person.email"])


def test_a_generated_column_is_withheld_and_a_persons_decision_about_it_stands() -> None:
    table = relation(1, mail="person.email", made="none")
    assert labels(follow({1: table}, [], [(1, 2, 1)])[1]) == ["person.email", "text.free"]
    decided = Relation(1, "public", "t", "r", {**table.columns, 2: Column(2, "made", 25, -1, False, "none", "person")})
    assert labels(follow({1: decided}, [], [(1, 2, 1)])[1]) == ["person.email", "none"]
    assert labels(follow({1: relation(1, mail="none", made="none")}, [], [(1, 2, 1)])[1]) == ["none", "none"]


def test_a_child_of_a_child_of_nobody_is_left_alone() -> None:
    assert labels(follow({1: relation(1, x="none")}, [(1, 99)], [(7, 1, 2)])[1]) == ["none"]


def test_what_nobody_knows_is_not_taken_for_harmless() -> None:
    found = follow({1: relation(1, x="unknown"), 2: relation(2, x="none")}, [(2, 1)], [])
    assert labels(found[2]) == ["unknown"]
    said = replace(relation(2, x="unknown").columns[1], label_by="person")
    found = follow({1: relation(1, x="none"), 2: Relation(2, "public", "t2", "r", {1: said})}, [(2, 1)], [])
    assert labels(found[1]) == labels(found[2]) == ["unknown"]


def test_a_new_child_does_not_hide_what_its_parent_shows() -> None:
    parent, child = (
        relation(1, id="none", mail="person.email"),
        relation(2, id="unknown", mail="unknown", more="unknown"),
    )
    found = follow({1: parent, 2: child}, [(2, 1)], [])
    assert labels(found[1]) == ["none", "person.email"]
    assert labels(found[2]) == ["none", "person.email", "unknown"]


def test_a_renamed_column_keeps_its_label_until_somebody_labels_its_new_name() -> None:
    first = {1: relation(1, mail="person.email", id="none")}
    second = remember(first, {1: relation(1, post="unknown", number="unknown")})
    assert labels(second[1]) == ["person.email", "unknown"]
    third = remember(second, {1: relation(1, post="unknown", number="unknown")})
    assert labels(third[1]) == ["person.email", "unknown"]
    decided = {1: Relation(1, "public", "t1", "r", {1: Column(1, "post", 25, -1, False, "none", "person")})}
    assert labels(remember(third, decided)[1]) == ["none"]


def test_a_line_that_is_taken_out_of_the_file_is_not_remembered() -> None:
    assert labels(remember({1: relation(1, mail="person.email")}, {1: relation(1, mail="unknown")})[1]) == ["unknown"]


def test_a_table_with_children_has_no_key_because_each_child_counts_for_itself() -> None:
    """Found by the generator: two rows with one id, and their order was that of masked values."""
    columns = {1: Column(1, "id", 20, -1, True, "none")}
    key = (Index(9, "pk", (1,), frozenset(), unique=True, partial=False, immediate=True, clustered=False),)
    found = follow(
        {1: Relation(1, "public", "t1", "r", columns, key), 2: Relation(2, "public", "t2", "r", columns, key)},
        [(2, 1)],
        [],
    )
    assert (found[1].unique_keys, found[2].unique_keys) == ((), (frozenset({1}),))
    parted = follow({1: Relation(1, "public", "t1", "p", columns, key), 2: relation(2, id="none")}, [(2, 1)], [])
    assert parted[1].unique_keys == (frozenset({1}),)
