"""A validator of OCSF events by the reduced schema in tests/telemetry/ocsf_subset.json (Apache-2.0, OCSF schema)."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[1] / "telemetry" / "ocsf_subset.json").read_text())
_INTEGERS = {"integer_t", "long_t", "timestamp_t", "port_t"}


def problems(event: Mapping[str, Any]) -> list[str]:
    """Everything that the schema does not allow."""
    by_uid = {found["class_uid"]: found for found in SCHEMA["classes"].values()}
    known = by_uid.get(event.get("class_uid"))
    if known is None:
        return [f"unknown class {event.get('class_uid')}"]
    found = list(_attributes("event", event, known, frozenset(event["metadata"].get("profiles", []))))
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        found.append("type_uid does not follow from class and activity")
    if event["category_uid"] != known["category_uid"]:
        found.append("category_uid is not of the class")
    return found


def _attributes(
    path: str, value: Mapping[str, Any], declared: Mapping[str, Any], profiles: frozenset[str]
) -> Iterator[str]:
    attributes = {
        k: a for k, a in declared["attributes"].items() if a.get("profile") is None or a["profile"] in profiles
    }
    for name in value.keys() - attributes.keys():
        yield f"{path}.{name} is not in the schema"
    for name, attribute in attributes.items():
        if attribute["requirement"] == "required" and name not in value:
            yield f"{path}.{name} is required"
    for name in value.keys() & attributes.keys():
        yield from _checked(f"{path}.{name}", value[name], attributes[name], profiles)
    wanted = (declared["constraints"] or {}).get("at_least_one", [])
    if wanted and not any(name in value for name in wanted):
        yield f"{path} needs one of {wanted}"


def _checked(path: str, value: Any, attribute: Mapping[str, Any], profiles: frozenset[str]) -> Iterator[str]:
    if attribute.get("list"):
        if not isinstance(value, list) or not value:
            yield f"{path} must be a list with something in it"
            return
        for number, item in enumerate(value):
            yield from _one(f"{path}[{number}]", item, attribute, profiles)
        return
    yield from _one(path, value, attribute, profiles)


def _one(path: str, value: Any, attribute: Mapping[str, Any], profiles: frozenset[str]) -> Iterator[str]:
    kind = attribute["type"]
    if kind in SCHEMA["types"]:
        base = SCHEMA["types"][kind]
        wanted = (
            int
            if base in _INTEGERS or kind in _INTEGERS
            else bool
            if kind == "boolean_t"
            else float
            if kind == "float_t"
            else str
        )
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            yield f"{path} is a {type(value).__name__}, not a {kind}"
        elif kind == "ip_t":
            ipaddress.ip_address(str(value))
        if "enum" in attribute and str(value) not in attribute["enum"]:
            yield f"{path} has no value {value}"
    elif kind == "object":
        if not isinstance(value, dict):
            yield f"{path} must be an object"
    elif kind in SCHEMA["objects"]:
        if isinstance(value, dict):
            yield from _attributes(path, value, SCHEMA["objects"][kind], profiles)
        else:
            yield f"{path} must be an object"
    else:
        yield f"{path}: the reduced schema does not have `{kind}`"
