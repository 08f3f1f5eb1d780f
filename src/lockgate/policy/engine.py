"""The decision: every access of a statement, for every member of the chain, put to Cedar.

For: permit, deny or hold with reasons; which labelled columns a chain may not see; who may connect and approve.
Not for: telling time, waiting for approvals, reading files. Only an explicit Allow without any error passes.
Invariants: a deny beats a hold, a hold beats a permit; a policy that fails to evaluate denies (Cedar itself would skip it).
Source: architecture section 5; dependencies.md section 2 (pitfalls).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import cedarpy

from lockgate.model.catalog import Catalog, ColumnRef
from lockgate.model.decision import Clearance, Decision, Effect, Reason, Request
from lockgate.model.identity import Identity, Principal, PrincipalKind
from lockgate.model.statement import Access, Action
from lockgate.policy import row_filters
from lockgate.policy.entities import LabelledColumn, Places, Uid, handle, principal_entities, principal_uid
from lockgate.policy.policies import Policy, PolicySet
from lockgate.policy.recent import Recent
from lockgate.policy.verdict import Answer, combine
from lockgate.policy.vocabulary import SCHEMA, context_text

__all__ = ["Engine", "Policy", "PolicySet"]

_DECISIONS_MAX = 8192
_CLEARANCES_MAX = 1024
_CATALOGS_MAX = 64
_ASKED_AT_ONCE = 2048
SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema"})


@dataclass(frozen=True, slots=True)
class _Question:
    """One Cedar request."""

    principal: Principal
    action: Action
    resource: Uid


class Engine:
    """One revision of the policies with one revision of the principals; replace it when either changes."""

    def __init__(self, policies: PolicySet, principals: Mapping[str, Principal]) -> None:
        """Keep both; nothing is asked yet.

        Args:
            policies: a loaded set.
            principals: every known principal by name; groups are taken from here, not from the credential.
        """
        self._policies = policies
        self._principals = dict(principals)
        self._schema = cedarpy.Schema.from_str(SCHEMA)
        self._places: Recent[tuple[str, int], Places] = Recent(_CATALOGS_MAX)
        self._decisions: Recent[tuple[object, ...], Decision] = Recent(_DECISIONS_MAX)
        self._clearances: Recent[tuple[object, ...], Clearance] = Recent(_CLEARANCES_MAX)

    @property
    def revision(self) -> str:
        """Hash of the policy set."""
        return self._policies.revision

    def decide(self, request: Request, catalog: Catalog, *, now: datetime) -> Decision:
        """Decide one statement: every access for every member of the chain must be permitted.

        Args:
            request: who, what and the statement's facts; purpose, run and binding are taken from the identity.
            catalog: the snapshot the accesses were found in.
            now: an aware time.
        """
        context = self._context(
            request.identity,
            request.context,
            self._policies.reads,
            now,
            [a.name for a in request.accesses if a.relation],
        )
        key = (_chain_key(request.identity), context, request.accesses, catalog.database, catalog.generation)
        places = self._places_of(catalog)
        decision = self._decisions.get(key)
        if decision is None:
            decision = self._decide(request, places, context)
            self._decisions.put(key, decision)
        return self._with_expiry(decision, now)

    def clearance(
        self, identity: Identity, catalog: Catalog, *, context: Mapping[str, object], now: datetime
    ) -> Clearance:
        """Which labelled columns the chain may not see: those where any member lacks `unmask` on any of its labels.

        A permit with an obligation does not unmask: nobody could carry the obligation out. A principal that is unknown or
        disabled sees nothing.
        """
        text = self._context(identity, context, self._policies.reads_for_unmask, now)
        places = self._places_of(catalog)
        key = (_chain_key(identity), identity.purpose, identity.run, text, catalog.database, catalog.generation)
        known = self._clearances.get(key)
        if known is not None:
            return known
        chain, refusal = self._chain(identity)
        masked: set[ColumnRef] = set()
        if refusal is not None:
            masked.update(item.ref for item in places.labelled)
        else:
            grouped = self._group(places.labelled)
            clear = self._clear_groups(grouped, chain, identity, places, text)
            masked.update(item.ref for key_, items in grouped.items() if key_ not in clear for item in items)
        filters, unreadable = self._row_filters(identity, chain, places, text) if refusal is None else ({}, frozenset())
        found = Clearance(
            masked=frozenset(masked),
            revision=self.revision,
            generation=catalog.generation,
            filters=filters,
            unreadable=unreadable,
        )
        self._clearances.put(key, found)
        return found

    def permits(
        self,
        identity: Identity,
        action: Action,
        catalog: Catalog,
        *,
        context: Mapping[str, object],
        now: datetime,
        accesses: Sequence[Access] = (),
    ) -> Decision:
        """Ask one action for the whole chain: `connect` at sign-in, or any action on the tables of `accesses`.

        A permit that carries an obligation does not count here. `catalog` may be empty of relations when only the database is
        meant; its `database` and `environment` are read.
        """
        text = self._context(identity, context, self._policies.reads, now)
        chain, refusal = self._chain(identity)
        if refusal is not None:
            return self._deny(refusal)
        places = Places(catalog) if not catalog.relations else self._places_of(catalog)
        resources = self._resources(places, tuple(accesses) or (Access(action, 0, ""),))
        if isinstance(resources, Reason):
            return self._deny(resources)
        questions = [_Question(member, action, uid) for uid in sorted(set(resources)) for member in chain]
        answers = self._ask(questions, places.above(resources) + principal_entities(chain, identity), text)
        return combine([answer.without_obligations() for answer in answers], revision=self.revision)

    def may_approve(
        self,
        approver: Principal,
        request: Request,
        catalog: Catalog,
        *,
        hold_groups: Sequence[str],
        now: datetime,
    ) -> Decision:
        """Whether `approver` may approve the held statement `request`.

        Beside policy: never the requester nor anyone in its chain, never an agent, and one of `hold_groups` where the hold names
        groups.
        """
        known = self._principals.get(approver.name)
        if known is None or known.disabled or known.kind != approver.kind:
            return self._deny(Reason("unknown-principal", f"`{approver.name}` is not an active principal"))
        if known.kind is PrincipalKind.AGENT:
            return self._deny(Reason("agents-never-approve", "an agent never approves"))
        if known.name in {member.name for member in request.identity.chain}:
            return self._deny(Reason("requester-never-approves", "nobody approves a statement of their own chain"))
        if hold_groups and not set(hold_groups) & set(known.groups):
            groups = ", ".join(sorted(hold_groups))
            return self._deny(Reason("not-in-hold-group", f"`{known.name}` is in none of the groups {groups}"))
        identity = Identity(known, None, token_id="", expires_at=now)
        return self.permits(
            identity, Action.APPROVE, catalog, context=request.context, now=now, accesses=request.accesses
        )

    def _decide(self, request: Request, places: Places, context: str) -> Decision:
        chain, refusal = self._chain(request.identity)
        if refusal is not None:
            return self._deny(refusal)
        if not request.accesses:
            return self._deny(Reason("no-permit", "the statement names no access, so nothing permits it"))
        resources = self._resources(places, request.accesses)
        if isinstance(resources, Reason):
            return self._deny(resources)
        asked = dict.fromkeys(zip((a.action for a in request.accesses), resources, strict=True))
        questions = [_Question(member, action, uid) for action, uid in asked for member in chain]
        entities = places.above(resources) + principal_entities(chain, request.identity)
        return combine(self._ask(questions, entities, context), revision=self.revision)

    def _ask(self, questions: Sequence[_Question], entities: Sequence[dict[str, object]], context: str) -> list[Answer]:
        """Put questions to Cedar in one batch; whatever is not an Allow without errors is a denial."""
        requests = [
            {
                "principal": principal_uid(q.principal).as_json(),
                "action": {"type": "Action", "id": q.action.value},
                "resource": q.resource.as_json(),
                "context": context,
            }
            for q in questions
        ]
        try:
            prepared = handle(entities, self._schema)
            results = cedarpy.is_authorized_batch(requests, self._policies.handle, prepared, self._schema)
        except ValueError:
            return [self._answer(q, permitted=False, failed=True, ids=()) for q in questions]
        if len(results) != len(questions):
            return [self._answer(q, permitted=False, failed=True, ids=()) for q in questions]
        return [
            self._answer(
                question,
                permitted=result.allowed,
                failed=bool(result.diagnostics.errors) or result.decision is cedarpy.Decision.NoDecision,
                ids=tuple(
                    sorted(result.diagnostics.reasons)
                ),  # Cedar answers with a set: the same question must get the same words
            )
            for question, result in zip(questions, results, strict=True)
        ]

    def _answer(self, question: _Question, *, permitted: bool, failed: bool, ids: tuple[str, ...]) -> Answer:
        policies = tuple(self._policies.policies[i] for i in ids if i in self._policies.policies)
        return Answer(
            subject=str(principal_uid(question.principal)),
            action=question.action.value,
            resource=str(question.resource),
            permitted=permitted and not failed and bool(policies) and len(policies) == len(ids),
            failed=failed or len(policies) != len(ids),
            policies=policies,
        )

    def _group(self, labelled: Sequence[LabelledColumn]) -> dict[tuple[str, str], list[LabelledColumn]]:
        """Columns that no policy can tell apart, by (smallest thing around them that a policy names, label)."""
        names = self._policies.names
        grouped: dict[tuple[str, str], list[LabelledColumn]] = {}
        for item in labelled:
            around = (
                ("Column", item.uid.id), ("Table", item.relation.qualified_name), ("Schema", item.relation.schema)
            )  # fmt: skip
            scope = next((f"{kind}::{name}" for kind, name in around if (kind, name) in names), "")
            grouped.setdefault((scope, item.label), []).append(item)
        return grouped

    def _clear_groups(
        self,
        grouped: Mapping[tuple[str, str], Sequence[LabelledColumn]],
        chain: Sequence[Principal],
        identity: Identity,
        places: Places,
        context: str,
    ) -> set[tuple[str, str]]:
        """Groups that every member of the chain may see in clear.

        A column has one entity per batch, so questions that differ only in the label of one column go in different batches.
        """
        batches: list[dict[Uid, tuple[str, str]]] = []
        for key, items in grouped.items():
            uid = items[0].uid
            home = next((b for b in batches if uid not in b and len(b) < _ASKED_AT_ONCE), None)
            if home is None:
                home = {}
                batches.append(home)
            home[uid] = key
        clear: set[tuple[str, str]] = set()
        for batch in batches:
            entities = places.columns(grouped[key][0] for key in batch.values()) + principal_entities(chain, identity)
            questions = [_Question(member, Action.UNMASK, uid) for uid in batch for member in chain]
            answers = self._ask(questions, entities, context)
            for position, key in enumerate(batch.values()):
                own = answers[position * len(chain) : (position + 1) * len(chain)]
                if own and all(answer.without_obligations().permitted for answer in own):
                    clear.add(key)
        return clear

    def _row_filters(
        self, identity: Identity, chain: Sequence[Principal], places: Places, context: str
    ) -> tuple[dict[int, str], frozenset[int]]:
        """The condition on each table's rows, and tables whose condition cannot be written; asked like `unmask`, of every table once.

        A filter is not lifted by another permit: whoever it applies to is shown rows that one of the filters lets through.
        """
        if not self._policies.filters_rows:
            return {}, frozenset()
        tables = [r for r in places.catalog.relations.values() if r.schema not in SYSTEM_SCHEMAS]
        named = [
            (table, uid) for table in tables if (uid := places.resource(table.oid, table.qualified_name)) is not None
        ]
        known = row_filters.attributes(identity, chain[0].groups)
        found: dict[int, list[str]] = {}
        unreadable: set[int] = set()
        for start in range(0, len(named), _ASKED_AT_ONCE):
            part = named[start : start + _ASKED_AT_ONCE]
            questions = [_Question(member, Action.READ, uid) for _, uid in part for member in chain]
            entities = places.above([uid for _, uid in part]) + principal_entities(chain, identity)
            answers = self._ask(questions, entities, context)
            for position, answer in enumerate(answers):
                oid = part[position // len(chain)][0].oid
                conditions = [row_filters.filled(p.row_filter, known) for p in answer.policies if p.row_filter]
                if answer.failed or None in conditions:
                    unreadable.add(oid)
                elif conditions:
                    found.setdefault(oid, []).append(row_filters.either(c for c in conditions if c is not None))
        return _inherited(places.catalog, found, unreadable)

    def _chain(self, identity: Identity) -> tuple[tuple[Principal, ...], Reason | None]:
        """The chain as this engine knows it, or why it is not fit to act."""
        chain = []
        for member in identity.chain:
            known = self._principals.get(member.name)
            if known is None or known.kind != member.kind or known.disabled:
                return (), Reason("unknown-principal", f"`{member.name}` is not an active principal")
            chain.append(known)
        return tuple(chain), None

    def _resources(self, places: Places, accesses: Sequence[Access]) -> list[Uid] | Reason:
        found = []
        for access in accesses:
            uid = places.resource(access.relation, access.name)
            if uid is None:
                return Reason("unknown-resource", "the statement names a relation that the catalog does not have")
            found.append(uid)
        return found

    def _places_of(self, catalog: Catalog) -> Places:
        key = (catalog.database, catalog.generation)
        known = self._places.get(key)
        if known is None or known.catalog is not catalog:
            known = Places(catalog)
            self._places.put(key, known)
            self._decisions.clear()
            self._clearances.clear()
        return known

    def _context(
        self,
        identity: Identity,
        given: Mapping[str, object],
        reads: frozenset[str],
        now: datetime,
        tables: Sequence[str] = (),
    ) -> str:
        own = {"purpose": identity.purpose, "run": identity.run, "binding": identity.binding.value}
        return context_text({**given, **own}, reads=reads, now=now, tables=tables)

    def _with_expiry(self, decision: Decision, now: datetime) -> Decision:
        """Decisions that read the hour end with it."""
        if not self._policies.reads_time:
            return decision
        end = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        return Decision(
            effect=decision.effect,
            reasons=decision.reasons,
            revision=decision.revision,
            hold_groups=decision.hold_groups,
            row_limit=decision.row_limit,
            by_pseudonym=decision.by_pseudonym,
            expires_at=end,
        )

    def _deny(self, reason: Reason) -> Decision:
        return Decision(effect=Effect.DENY, reasons=(reason,), revision=self.revision)


def _inherited(
    catalog: Catalog, found: Mapping[int, Sequence[str]], unreadable: set[int]
) -> tuple[dict[int, str], frozenset[int]]:
    """Every table's condition with those of the tables that it is a partition or a child of."""
    joined = {oid: list(conditions) for oid, conditions in found.items()}
    hidden = set(unreadable)
    waiting = [*found, *unreadable]
    while waiting:
        parent = waiting.pop()
        relation = catalog.relations.get(parent)
        for child in relation.children if relation is not None else ():
            new = [c for c in joined.get(parent, ()) if c not in joined.get(child, ())]
            if new or (parent in hidden and child not in hidden):
                joined.setdefault(child, []).extend(new)
                hidden |= {child} if parent in hidden else set()
                waiting.append(child)
    return {oid: row_filters.both(conditions) for oid, conditions in joined.items() if conditions}, frozenset(hidden)


def _chain_key(identity: Identity) -> tuple[tuple[str, str], ...]:
    return tuple((member.kind.value, member.name) for member in identity.chain)
