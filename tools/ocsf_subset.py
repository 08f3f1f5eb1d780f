"""Reduce the OCSF schema to the classes and objects that Lockgate's events use, for tests that have no network.

For: `python tools/ocsf_subset.py SCHEMA_FOLDER > tests/telemetry/ocsf_subset.json`, with a checkout of the public ocsf-schema repository.
Not for: the product, which does not read the schema.
Source: OCSF schema, Apache-2.0; names, types, requirements and numbers of enumerations only, no descriptions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

CLASSES = (
    "application/datastore_activity",
    "application/api_activity",
    "iam/authentication",
    "iam/user_access",
    "system/event_log_activity",
)
OBJECTS = (
    "actor", "user", "session", "network_endpoint", "metadata", "product", "database", "table", "query_info", "policy", "authorization",
    "api", "service", "device", "resource_details", "object", "group", "rule", "request", "response",
)  # fmt: skip

FROM_CLASS = ("category_uid", "class_uid", "type_uid")
"""Their values follow from the class; the schema's own lists are filled when it is published."""


class Schema:
    """A checkout of the schema."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dictionary: dict[str, Any] = json.loads((folder / "dictionary.json").read_text())
        self.categories: dict[str, Any] = json.loads((folder / "categories.json").read_text())["attributes"]

    def _read(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
        return found

    def _own(self, declared: dict[str, Any]) -> dict[str, Any]:
        """Attributes with includes; the declaration itself decides."""
        attributes: dict[str, Any] = {}
        included = declared["attributes"].get("$include", [])
        for name in [included] if isinstance(included, str) else included:
            found = self._own(self._read(name.removesuffix(".json")))
            mark = {"profile": Path(name).stem} if name.startswith("profiles/") else {}
            attributes |= {key: {**value, **mark} for key, value in found.items()}
        for name, value in declared["attributes"].items():
            if name != "$include":
                attributes[name] = {**attributes.get(name, {}), **value}
        return attributes

    def whole(self, name: str, folder: str) -> dict[str, Any]:
        """A class or object with everything it inherits."""
        declared = self._read(f"{folder}/{name}")
        base = declared.get("extends")
        inherited: dict[str, Any] = {"attributes": {}, "constraints": {}}
        if base:
            place = f"{folder}/{name}".rsplit("/", 1)[0] if folder == "objects" else self._place(base)
            inherited = self.whole(base, place)
        attributes = {**inherited["attributes"]}
        for key, value in self._own(declared).items():
            enum = {**attributes.get(key, {}).get("enum", {}), **value.get("enum", {})}
            attributes[key] = {**attributes.get(key, {}), **value, **({"enum": enum} if enum else {})}
        return {
            "uid": declared.get("uid"), "category": declared.get("category") or inherited.get("category"), "caption": declared["caption"],
            "attributes": attributes, "constraints": declared.get("constraints") or inherited["constraints"],
        }  # fmt: skip

    def _place(self, name: str) -> str:
        return next(
            str(p.parent.relative_to(self.folder)) for p in sorted((self.folder / "events").rglob(f"{name}.json"))
        )

    def reduced(self, whole: dict[str, Any]) -> dict[str, Any]:
        """Only what a validator needs."""
        attributes = {}
        for name, value in sorted(whole["attributes"].items()):
            known = self.dictionary["attributes"].get(name, {})
            kind = known.get("type")
            enum = {**known.get("enum", {}), **value.get("enum", {})}
            attributes[name] = {
                "type": kind,
                "requirement": value.get("requirement", "optional"),
                **({"list": True} if known.get("is_array") else {}),
                **({"enum": {k: v["caption"] for k, v in enum.items()}} if enum and name not in FROM_CLASS else {}),
                **({"profile": value["profile"]} if value.get("profile") else {}),
            }
        return {**whole, "attributes": attributes}

    def subset(self) -> dict[str, Any]:
        """Everything that is written."""
        classes = {
            name.rsplit("/", 1)[1]: self.reduced(self.whole(name.rsplit("/", 1)[1], f"events/{name.rsplit('/', 1)[0]}"))
            for name in CLASSES
        }
        for found in classes.values():
            found["category_uid"] = self.categories[found["category"]]["uid"]
            found["class_uid"] = found["category_uid"] * 1000 + found["uid"]
        return {
            "licence": "Apache-2.0, from the OCSF schema (github.com/ocsf/ocsf-schema); reduced to names, types, requirements and enumerations",
            "version": self._read("version")["version"],
            "types": {name: value.get("type", name) for name, value in self.dictionary["types"]["attributes"].items()},
            "classes": classes,
            "objects": {name: self.reduced(self.whole(name, "objects")) for name in OBJECTS if (self.folder / f"objects/{name}.json").exists()},
        }  # fmt: skip


if __name__ == "__main__":
    json.dump(Schema(Path(sys.argv[1])).subset(), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")
