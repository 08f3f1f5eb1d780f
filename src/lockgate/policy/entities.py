"""Cedar entities for one question: the chain's principals, and the resources it names with everything above them.

For: small, complete slices. A resource always comes with its table, schema, database and environment, because a missing entity
makes a `forbid` fail open inside Cedar.
Not for: deciding. Names carry no database prefix: every question is about one database.
Source: dependencies.md section 2 (pitfalls); architecture section 5 (resources).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cedarpy

from lockgate.model.catalog import Catalog, Column, ColumnRef, Relation
from lockgate.model.identity import Identity, Principal

FIRST_USER_OID = 16384
"""Relations below this OID come with PostgreSQL (src/include/access/transam.h, FirstNormalObjectId)."""


@dataclass(frozen=True, slots=True, order=True)
class Uid:
    """A Cedar entity's type and id."""

    type: str
    id: str

    def as_json(self) -> dict[str, str]:
        """The form Cedar's JSON takes, free of quoting rules."""
        return {"type": self.type, "id": self.id}

    def __str__(self) -> str:
        return f'{self.type}::"{self.id}"'


def principal_uid(principal: Principal) -> Uid:
    """`Person::"ann"` and so on."""
    return Uid(principal.kind.value, principal.name)


def labels_of(column: Column) -> tuple[str, ...]:
    """Every sensitive label a column carries, its own and those of its JSON keys, sorted."""
    return tuple(sorted({column.label, *(label for _, label in column.json_labels)} - {"none"}))


@dataclass(frozen=True, slots=True)
class LabelledColumn:
    """One question for `unmask`: a column and one of its labels."""

    ref: ColumnRef
    relation: Relation
    column: Column
    label: str

    @property
    def uid(self) -> Uid:
        """`Column::"schema.table.column"`."""
        return Uid("Column", f"{self.relation.qualified_name}.{self.column.name}")


class Places:
    """What policy can know of one catalog snapshot: labels of tables, schemas and the database, and the labelled columns."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.database = Uid("Database", catalog.database)
        self.labelled: list[LabelledColumn] = []
        self._tables: dict[str, set[str]] = {}
        self._schemas: dict[str, set[str]] = {}
        self._all: set[str] = set()
        self._schema_of: dict[str, str] = {}
        self._ambiguous: set[str] = set()
        for relation in catalog.relations.values():
            found = self._tables.setdefault(relation.qualified_name, set())
            if self._schema_of.setdefault(relation.qualified_name, relation.schema) != relation.schema:
                self._ambiguous.add(relation.qualified_name)
            for column in relation.columns.values():
                for label in labels_of(column):
                    found.add(label)
                    ref = ColumnRef(relation.oid, column.attnum)
                    self.labelled.append(LabelledColumn(ref=ref, relation=relation, column=column, label=label))
            self._schemas.setdefault(relation.schema, set()).update(found)
            self._all |= found

    def resource(self, oid: int, name: str) -> Uid | None:
        """The entity of an access: its table, or the database for 0; None when the snapshot does not know the relation.

        Also None when dots inside names give two relations one name (`"a.b".c` and `a."b.c"`): policies could not tell them apart.
        """
        if oid == 0:
            return self.database
        relation = self.catalog.relations.get(oid)
        if relation is not None:
            return None if relation.qualified_name in self._ambiguous else Uid("Table", relation.qualified_name)
        return Uid("Table", name) if oid < FIRST_USER_OID and "." in name else None

    def above(self, resources: Iterable[Uid]) -> list[dict[str, object]]:
        """Entities of `resources` (tables, schemas or the database) and of everything they are in."""
        environment = Uid("Environment", self.catalog.environment)
        found = {
            environment: _entity(environment, None),
            self.database: _entity(self.database, environment, labels=sorted(self._all)),
        }
        for uid in resources:
            if uid.type == "Table":
                schema = Uid("Schema", self._schema_of.get(uid.id, uid.id.partition(".")[0]))
                found[uid] = _entity(uid, schema, labels=sorted(self._tables.get(uid.id, ())))
            else:
                schema = uid
            if schema.type == "Schema":
                found[schema] = _entity(schema, self.database, labels=sorted(self._schemas.get(schema.id, ())))
        return list(found.values())

    def columns(self, asked: Iterable[LabelledColumn]) -> list[dict[str, object]]:
        """Entities of labelled columns, each with the one label asked about, and of everything they are in."""
        entities: list[dict[str, object]] = []
        tables: set[Uid] = set()
        for item in asked:
            table = Uid("Table", item.relation.qualified_name)
            tables.add(table)
            entities.append(_entity(item.uid, table, labels=[item.label]))
        return entities + self.above(sorted(tables))


def handle(entities: Sequence[dict[str, object]], schema: cedarpy.Schema) -> cedarpy.Entities:
    """Parse entities once for a batch, checked against the schema.

    Raises:
        ValueError: an entity does not fit the schema.
    """
    return cedarpy.Entities.from_json_str(json.dumps(list(entities)), schema)


def principal_entities(chain: Sequence[Principal], identity: Identity | None) -> list[dict[str, object]]:
    """Entities of the chain; the actor carries `on_behalf_of` when it acts for someone."""
    entities: dict[Uid, dict[str, object]] = {}
    for principal in chain:
        attributes: dict[str, object] = {}
        if principal.owner is not None:
            attributes["owner"] = Uid("Person", principal.owner).as_json()
        if identity is not None and identity.on_behalf_of is not None and principal.name == identity.principal.name:
            attributes["on_behalf_of"] = principal_uid(identity.on_behalf_of).as_json()
        uid = principal_uid(principal)
        groups = [Uid("Group", group).as_json() for group in principal.groups]
        entities[uid] = {"uid": uid.as_json(), "attrs": attributes, "parents": groups}
    return list(entities.values())


def _entity(uid: Uid, parent: Uid | None, *, labels: list[str] | None = None) -> dict[str, object]:
    attributes: dict[str, object] = {} if labels is None else {"labels": labels}
    return {"uid": uid.as_json(), "attrs": attributes, "parents": [] if parent is None else [parent.as_json()]}
