"""A loaded set of policies: parsed, validated against the schema, named by `@id`, with its obligations read.

For: turning policy files into one immutable value, or one error with every problem in it.
Not for: evaluation (`engine`). A policy set with any problem does not exist.
Source: architecture section 5; Cedar documentation, "Policy syntax" (annotations).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cedarpy

from lockgate.errors import ConfigError
from lockgate.policy.row_filters import problem
from lockgate.policy.source import Piece, cut
from lockgate.policy.vocabulary import CONTEXT_KEYS, SCHEMA

ANNOTATIONS: tuple[str, ...] = ("id", "reason", "comment", "hold", "row_limit", "row_filter", "choose_by_pseudonym")
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,62}")
_ROW_LIMIT = re.compile(r"[1-9][0-9]{0,11}")
_POLICY_NAME = re.compile(r"policy `policy0`[,:]? ?")
_RESERVED = ("no-permit", "policy-error", "unknown-resource", "unknown-principal", "hold-conflict")


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy: its name, place, effect and obligations.

    Args:
        id: the `@id` annotation, or `<file>:<n>`.
        place: `file:line`.
        permits: true for `permit`, false for `forbid`.
        reason: the `@reason` annotation, else empty.
        holds: a `@hold` annotation is present.
        hold_groups: groups named in it, empty = whoever may approve.
        row_limit: the `@row_limit` annotation.
        row_filter: the `@row_filter` annotation, with its placeholders.
        by_pseudonym: a `@choose_by_pseudonym` annotation is present: a write may choose rows by what masked columns show.
    """

    id: str
    place: str
    permits: bool
    reason: str = ""
    holds: bool = False
    hold_groups: tuple[str, ...] = ()
    row_limit: int | None = None
    row_filter: str = ""
    by_pseudonym: bool = False

    @property
    def unconditional(self) -> bool:
        """True when the policy carries no obligation."""
        return not self.holds and self.row_limit is None and not self.row_filter


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Every policy of a gate, ready to evaluate.

    Args:
        policies: by id.
        revision: SHA-256 of the canonical files, in hexadecimal.
        handle: Cedar's own parsed set.
        reads: context keys that some policy reads.
        reads_for_unmask: the same for policies that may decide `unmask`.
        names: (type, id) of every entity that some policy names, such as (`Table`, `public.orders`).
    """

    policies: Mapping[str, Policy]
    revision: str
    handle: cedarpy.PolicySet
    reads: frozenset[str]
    reads_for_unmask: frozenset[str]
    names: frozenset[tuple[str, str]]

    @property
    def reads_time(self) -> bool:
        """True when some policy reads the hour or the weekday, so that decisions expire."""
        return bool(self.reads & {"hour", "weekday"})

    @property
    def filters_rows(self) -> bool:
        """True when some policy has a row filter."""
        return any(policy.row_filter for policy in self.policies.values())

    @staticmethod
    def load(files: Mapping[str, str]) -> PolicySet:
        """Parse and validate policy files.

        Args:
            files: file name -> Cedar text.

        Raises:
            ConfigError: with every problem of every file, each as `file:line: sentence`.
        """
        loader = _Loader()
        for file in sorted(files):
            for number, piece in enumerate(cut(file, files[file]), start=1):
                loader.add(piece, f"{file}:{number}")
        if loader.problems:
            raise ConfigError(loader.problems)
        document = {"staticPolicies": loader.bodies, "templates": {}, "templateLinks": []}
        try:
            handle = cedarpy.PolicySet.from_json_str(json.dumps(document))
        except ValueError as error:
            raise ConfigError(f"the policies cannot be combined: {error}") from None
        bodies = list(loader.bodies.values())
        return PolicySet(
            policies=loader.policies,
            revision=_revision(files),
            handle=handle,
            reads=_context_reads(bodies),
            reads_for_unmask=_context_reads([b for b in bodies if _may_decide(b, "unmask")]),
            names=frozenset(_named(bodies)),
        )


class _Loader:
    """Collects policies and problems, file by file."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.policies: dict[str, Policy] = {}
        self.bodies: dict[str, Mapping[str, object]] = {}
        self._schema = cedarpy.Schema.from_str(SCHEMA)

    def add(self, piece: Piece, default_id: str) -> None:
        if not piece.terminated:
            self.problems.append(f"{piece.place}: the policy does not end with `;`")
            return
        try:
            parsed = json.loads(cedarpy.policies_to_json_str(piece.text))
        except ValueError as error:
            self.problems.append(f"{piece.place}: this is not a Cedar policy: {error}")
            return
        if parsed.get("templates"):
            self.problems.append(f"{piece.place}: templates (`?principal`, `?resource`) are not supported")
            return
        bodies = list(parsed["staticPolicies"].values())
        if len(bodies) != 1:
            self.problems.append(f"{piece.place}: expected exactly one policy before `;`")
            return
        self._add_body(piece, bodies[0], default_id)

    def _add_body(self, piece: Piece, body: Mapping[str, object], default_id: str) -> None:
        validation = cedarpy.validate_policies(piece.text, self._schema)
        sentences = sorted({_POLICY_NAME.sub("", e.error).removeprefix("for ") for e in validation.errors})
        self.problems += [f"{piece.place}: {sentence}" for sentence in sentences]
        if not validation.validation_passed and not sentences:
            self.problems.append(f"{piece.place}: the policy does not fit the schema")
        policy = self._policy(piece, body, default_id)
        earlier = self.policies.get(policy.id)
        if earlier is not None:
            self.problems.append(f"{piece.place}: the id `{policy.id}` is taken by the policy at {earlier.place}")
        elif policy.id in _RESERVED:
            self.problems.append(f"{piece.place}: the id `{policy.id}` is reserved for the gate's own reasons")
        else:
            self.policies[policy.id] = policy
            self.bodies[policy.id] = body

    def _policy(self, piece: Piece, body: Mapping[str, object], default_id: str) -> Policy:
        raw = body.get("annotations")
        notes = {str(k): str(v or "") for k, v in raw.items()} if isinstance(raw, Mapping) else {}
        permits = body.get("effect") == "permit"
        for name in sorted(set(notes) - set(ANNOTATIONS)):
            known = ", ".join(f"@{n}" for n in ANNOTATIONS)
            self.problems.append(f"{piece.place}: unknown annotation `@{name}`; known are {known}")
        for name in ("hold", "row_limit", "row_filter", "choose_by_pseudonym"):
            if name in notes and not permits:
                self.problems.append(f"{piece.place}: `@{name}` has no meaning on a forbid")
        groups = tuple(g.strip() for g in notes.get("hold", "").split(",")) if notes.get("hold", "").strip() else ()
        if not all(_GROUP.fullmatch(g) for g in groups):
            self.problems.append(f"{piece.place}: `@hold` must list group names separated by commas")
        limit = notes.get("row_limit")
        if limit is not None and not _ROW_LIMIT.fullmatch(limit):
            self.problems.append(f"{piece.place}: `@row_limit` must be a whole number of rows, at least 1")
            limit = None
        row_filter = notes.get("row_filter", "")
        wrong = problem(row_filter) if "row_filter" in notes else ""
        if wrong or ("row_filter" in notes and not _may_decide(body, "read")):
            self.problems.append(
                f"{piece.place}: {wrong or '`@row_filter` has no meaning on a policy that does not permit `read`'}"
            )
        if "choose_by_pseudonym" in notes and (notes["choose_by_pseudonym"] or not _may_decide(body, "write")):
            self.problems.append(
                f"{piece.place}: `@choose_by_pseudonym` has no value, and no meaning on a policy that does not permit `write`"
            )
        return Policy(
            id=notes.get("id") or default_id,
            place=piece.place,
            permits=permits,
            reason=notes.get("reason", ""),
            holds="hold" in notes,
            hold_groups=groups,
            row_limit=None if limit is None else int(limit),
            row_filter=row_filter,
            by_pseudonym="choose_by_pseudonym" in notes,
        )


def _revision(files: Mapping[str, str]) -> str:
    digest = hashlib.sha256(b"lockgate-policies-1\n")
    for file in sorted(files):
        for part in (file, files[file].replace("\r\n", "\n")):
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


def _walk(node: object) -> Iterator[Mapping[str, object]]:
    """Every JSON object inside `node`, outermost first."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, Mapping):
            yield current
            waiting.extend(current.values())
        elif isinstance(current, list):
            waiting.extend(current)


def _context_reads(bodies: list[Mapping[str, object]]) -> frozenset[str]:
    """Context keys read by `context.key` and `context has key`; all of them when the record is used as a whole."""
    reads: set[str] = set()
    touched = uses = 0
    for node in _walk(bodies):
        uses += node.get("Var") == "context"
        for operator in (".", "has"):
            inner = node.get(operator)
            if isinstance(inner, Mapping) and inner.get("left") == {"Var": "context"}:
                touched += 1
                reads.add(str(inner.get("attr")))
    return frozenset(reads) if touched == uses else frozenset(CONTEXT_KEYS)


def _named(bodies: list[Mapping[str, object]]) -> Iterator[tuple[str, str]]:
    for node in _walk(bodies):
        kind, name = node.get("type"), node.get("id")
        if isinstance(kind, str) and isinstance(name, str):
            yield kind, name


def _may_decide(body: Mapping[str, object], action: str) -> bool:
    """True unless the policy's scope names only other actions."""
    scope = body.get("action")
    if not isinstance(scope, Mapping) or scope.get("op") == "All":
        return True
    named = {str(node["id"]) for node in _walk(scope) if "id" in node}
    return action in named or not named
