"""Decisions: deny beats hold beats permit, errors deny, and the starter policies mean what their comments say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lockgate.model.catalog import Catalog, Column, ColumnRef, Relation
from lockgate.model.decision import Decision, Effect, Request
from lockgate.model.identity import Binding, Identity, Principal, PrincipalKind
from lockgate.model.statement import Access, Action
from lockgate.policy.engine import Engine, PolicySet
from lockgate.policy.starter import STARTER

NOW = datetime(2026, 3, 4, 10, 30, tzinfo=UTC)
P, S, A = PrincipalKind.PERSON, PrincipalKind.SERVICE, PrincipalKind.AGENT
PRINCIPALS = {
    p.name: p
    for p in (
        Principal("root", P, ("administrators",)),
        Principal("ann", P),
        Principal("wim", P, ("writers",)),
        Principal("uma", P, ("unmaskers",)),
        Principal("abe", P, ("approvers",)),
        Principal("gone", P, ("administrators",), disabled=True),
        Principal("etl", S, ("writers",)),
        Principal("bot", A, ("writers", "approvers"), owner="ann"),
        Principal("superbot", A, ("administrators",), owner="root"),
    )
}
PEOPLE, ORDERS = 20001, 20002


def catalog(environment: str = "production", generation: int = 1) -> Catalog:
    def column(number: int, name: str, label: str, **more: object) -> Column:
        return Column(attnum=number, name=name, type_oid=25, type_mod=-1, not_null=False, label=label, **more)  # type: ignore[arg-type]

    people = [
        column(1, "id", "none"),
        column(2, "email", "person.email"),
        column(3, "ssn", "person.national_id"),
        column(4, "odd", "unknown"),
        column(5, "prefs", "none", json_labels=((("phone",), "person.phone"), (("mail",), "person.email"))),
    ]
    orders = [column(1, "id", "none"), column(2, "contact", "person.email")]
    return Catalog(
        database="shop",
        environment=environment,
        server_version=15,
        generation=generation,
        relations={
            PEOPLE: Relation(PEOPLE, "public", "people", "r", {c.attnum: c for c in people}),
            ORDERS: Relation(ORDERS, "public", "orders", "r", {c.attnum: c for c in orders}),
        },
        functions={},
        types={},
    )


def who(name: str, acting_for: str | None = None, purpose: str | None = None) -> Identity:
    return Identity(
        principal=PRINCIPALS.get(name, Principal(name, P)),
        on_behalf_of=None if acting_for is None else PRINCIPALS[acting_for],
        token_id="t",
        expires_at=NOW + timedelta(hours=1),
        purpose=purpose,
        binding=Binding.ISSUED,
    )


READ = (Access(Action.READ, PEOPLE, "public.people"),)
WRITE = (Access(Action.WRITE, PEOPLE, "public.people"),)
BOUNDED: dict[str, object] = {"statement": {"kind": "update", "bounded": True, "has_where": True}}
UNBOUNDED: dict[str, object] = {"statement": {"kind": "update", "bounded": False, "destructive": True}}


def starter() -> Engine:
    return Engine(PolicySet.load(STARTER), PRINCIPALS)


def decide(
    engine: Engine,
    identity: Identity,
    accesses: tuple[Access, ...],
    *,
    context: dict[str, object] | None = None,
    environment: str = "production",
) -> Decision:
    return engine.decide(Request(identity, "shop", accesses, context or {}), catalog(environment), now=NOW)


def with_policies(*texts: str) -> Engine:
    return Engine(PolicySet.load({"x.cedar": "\n".join(texts)}), PRINCIPALS)


@pytest.mark.parametrize("name", ["root", "ann", "wim", "uma", "abe", "etl", "bot"])
def test_whoever_has_signed_in_reads_and_exports_and_connects(name: str) -> None:
    engine = starter()
    for access in (*READ, Access(Action.EXPORT, PEOPLE, "public.people"), Access(Action.CONNECT, 0, "")):
        assert decide(engine, who(name), (access,)).effect is Effect.PERMIT


@pytest.mark.parametrize(
    ("name", "environment", "action", "facts", "expected"),
    [
        ("wim", "production", Action.WRITE, BOUNDED, Effect.HOLD),
        ("etl", "production", Action.WRITE, BOUNDED, Effect.HOLD),
        ("ann", "production", Action.WRITE, BOUNDED, Effect.DENY),
        ("bot", "production", Action.WRITE, BOUNDED, Effect.DENY),
        ("wim", "production", Action.WRITE, UNBOUNDED, Effect.DENY),
        ("wim", "production", Action.DEFINE, UNBOUNDED, Effect.DENY),
        ("root", "production", Action.WRITE, UNBOUNDED, Effect.PERMIT),
        ("ann", "staging", Action.WRITE, BOUNDED, Effect.PERMIT),
        ("etl", "staging", Action.WRITE, BOUNDED, Effect.PERMIT),
        ("uma", "staging", Action.WRITE, UNBOUNDED, Effect.HOLD),
        ("ann", "staging", Action.DEFINE, UNBOUNDED, Effect.HOLD),
        ("bot", "staging", Action.WRITE, BOUNDED, Effect.DENY),
        ("ann", "development", Action.WRITE, UNBOUNDED, Effect.PERMIT),
        ("ann", "development", Action.DEFINE, UNBOUNDED, Effect.PERMIT),
        ("ann", "development", Action.EXECUTE, BOUNDED, Effect.PERMIT),
        ("ann", "development", Action.ADMINISTER, BOUNDED, Effect.DENY),
        ("bot", "development", Action.WRITE, BOUNDED, Effect.DENY),
        ("ann", "production", Action.EXECUTE, BOUNDED, Effect.DENY),
        ("root", "production", Action.ADMINISTER, BOUNDED, Effect.PERMIT),
    ],
)
def test_the_starter_policies_keep_their_promises(
    name: str, environment: str, action: Action, facts: dict[str, object], expected: Effect
) -> None:
    accesses = (Access(action, PEOPLE, "public.people"),)

    assert decide(starter(), who(name), accesses, context=facts, environment=environment).effect is expected


def test_a_hold_names_the_groups_that_may_approve() -> None:
    assert decide(starter(), who("wim"), WRITE, context=BOUNDED).hold_groups == ("approvers",)


def test_a_denial_without_a_forbid_names_action_resource_and_principal() -> None:
    (reason,) = decide(starter(), who("ann"), WRITE, context=BOUNDED).reasons

    assert reason.rule == "no-permit"
    assert reason.sentence == 'no policy permits `write` on Table::"public.people" for Person::"ann"'


def test_a_forbid_is_named_with_its_own_sentence() -> None:
    rules = {reason.rule for reason in decide(starter(), who("wim"), WRITE, context=UNBOUNDED).reasons}

    assert rules == {"production-no-destructive", "production-no-unbounded-write"}


def test_every_member_of_the_chain_needs_the_right() -> None:
    engine = with_policies('@id("w") permit (principal in Group::"administrators", action, resource);')

    assert decide(engine, who("superbot"), WRITE).effect is Effect.PERMIT
    assert decide(engine, who("superbot", "root"), WRITE).effect is Effect.PERMIT
    assert decide(engine, who("superbot", "ann"), WRITE).effect is Effect.DENY


def test_one_refused_access_refuses_the_statement() -> None:
    engine = with_policies(
        '@id("r") permit (principal, action, resource); @id("f") forbid (principal, action, resource == Table::"public.orders");'
    )
    both = (*READ, Access(Action.READ, ORDERS, "public.orders"))

    assert decide(engine, who("ann"), READ).effect is Effect.PERMIT
    assert decide(engine, who("ann"), both).effect is Effect.DENY


def test_a_permit_without_a_hold_beside_one_with_a_hold_needs_no_approval() -> None:
    held = '@id("h") @hold("abc") permit (principal, action, resource);'
    free = '@id("p") permit (principal, action, resource in Environment::"production");'

    assert decide(with_policies(held), who("ann"), READ).effect is Effect.HOLD
    assert decide(with_policies(held, free), who("ann"), READ).effect is Effect.PERMIT


def test_holds_that_no_one_group_can_approve_deny() -> None:
    engine = with_policies(
        '@id("a") @hold("x,y") permit (principal, action, resource == Table::"public.people");',
        '@id("b") @hold("y,z") permit (principal, action, resource == Table::"public.orders");',
        '@id("c") @hold("q") permit (principal, action == Action::"write", resource == Table::"public.orders");',
    )
    orders = Access(Action.READ, ORDERS, "public.orders")

    assert decide(engine, who("ann"), (*READ, orders)).hold_groups == ("y",)
    only_q = with_policies(
        '@id("a") @hold("x") permit (principal, action, resource == Table::"public.people");',
        '@id("b") @hold("z") permit (principal, action, resource == Table::"public.orders");',
    )
    decision = decide(only_q, who("ann"), (*READ, orders))
    assert (decision.effect, decision.reasons[0].rule) == (Effect.DENY, "hold-conflict")


def test_choosing_by_pseudonym_needs_a_permit_of_every_write() -> None:
    engine = with_policies(
        '@id("a") permit (principal, action, resource);',
        '@id("b") @choose_by_pseudonym("") permit (principal, action == Action::"write", resource == Table::"public.people");',
    )
    people = Access(Action.WRITE, READ[0].relation, READ[0].name)
    orders = Access(Action.WRITE, 0, "public.orders")
    assert decide(engine, who("ann"), (people, *READ)).by_pseudonym
    assert not decide(engine, who("ann"), READ).by_pseudonym
    assert not decide(engine, who("ann"), (people, orders)).by_pseudonym


def test_row_limits_are_generous_between_permits_and_strict_between_accesses() -> None:
    engine = with_policies(
        '@id("a") @row_limit("10") permit (principal, action, resource);',
        '@id("b") @row_limit("50") permit (principal, action, resource == Table::"public.people");',
    )
    orders = Access(Action.READ, ORDERS, "public.orders")

    assert decide(engine, who("ann"), READ).row_limit == 50
    assert decide(engine, who("ann"), (*READ, orders)).row_limit == 10
    assert decide(with_policies("permit (principal, action, resource);"), who("ann"), READ).row_limit is None


def test_a_policy_that_fails_to_evaluate_denies() -> None:
    engine = with_policies(
        '@id("ok") permit (principal, action, resource);',
        '@id("bad") forbid (principal, action, resource) when { context.hour * 9223372036854775807 > 5 };',
    )
    decision = decide(engine, who("ann"), READ)

    assert (decision.effect, decision.reasons[0].rule) == (Effect.DENY, "policy-error")


@pytest.mark.parametrize("facts", [{"surprise": 1}, {"statement": {"kind": 7}}, {"statement": {"extra": True}}])
def test_facts_that_do_not_fit_the_schema_deny(facts: dict[str, object]) -> None:
    engine = with_policies('@id("p") permit (principal, action, resource) when { context.statement.kind != "drop" };')

    assert decide(engine, who("ann"), READ, context=facts).effect is Effect.DENY


def test_unknown_disabled_and_impersonated_principals_are_denied() -> None:
    engine = starter()
    other_kind = Identity(Principal("root", A), None, "t", NOW)

    for identity in (who("nobody"), who("gone"), other_kind, who("superbot", "gone")):
        assert decide(engine, identity, READ).reasons[0].rule == "unknown-principal"
        assert not engine.clearance(identity, catalog(), context={}, now=NOW).complete


def test_groups_come_from_the_list_of_principals_and_not_from_the_identity() -> None:
    forged = Identity(Principal("ann", P, ("administrators",)), None, "t", NOW)

    assert decide(starter(), forged, WRITE, context=BOUNDED).effect is Effect.DENY


def test_a_relation_that_the_catalog_does_not_have_is_denied_but_system_catalogs_are_tables() -> None:
    engine = starter()

    assert decide(engine, who("root"), (Access(Action.READ, 99999, "public.x"),)).reasons[0].rule == "unknown-resource"
    assert decide(engine, who("ann"), (Access(Action.READ, 1259, "pg_catalog.pg_class"),)).effect is Effect.PERMIT


def test_two_relations_that_share_a_name_through_dots_are_denied() -> None:
    both = {1: Relation(1, "a.b", "c", "r", {}), 2: Relation(2, "a", "b.c", "r", {})}
    snapshot = Catalog("shop", "production", 15, 1, both, {}, {})
    request = Request(who("root"), "shop", (Access(Action.READ, 1, "a.b.c"),), {})

    assert starter().decide(request, snapshot, now=NOW).reasons[0].rule == "unknown-resource"


def test_a_statement_that_names_no_access_is_denied() -> None:
    assert decide(starter(), who("root"), ()).effect is Effect.DENY


@pytest.mark.parametrize(
    "condition",
    [
        'resource in Schema::"public" && resource in Database::"shop" && resource in Environment::"production"',
        'resource.labels.containsAll(["person.email", "person.national_id", "person.phone", "unknown"])',
        'principal has owner && principal.owner == Person::"ann"',
        'principal has on_behalf_of && principal.on_behalf_of == Person::"ann"',
        'context.client_address.isInRange(ip("10.0.0.0/8"))',
        "context.hour == 10 && context.weekday == 3",
        'context has purpose && context.purpose == "training" && context.binding == "issued"',
        'context.statement.kind == "update" && context.statement.tables.contains("public.people")',
        "context.statement has estimated_rows && context.statement.estimated_rows == 12",
        'context.statement.functions.contains("pg_catalog.now") && context.statement.opaque.isEmpty()',
    ],
)
def test_policies_can_speak_of_all_that_is_documented(condition: str) -> None:
    agents = (
        f'@id("a") permit (principal is Agent, action == Action::"read", resource is Table) when {{ {condition} }};'
    )
    people = '@id("p") permit (principal is Person, action, resource);'
    facts: dict[str, object] = {
        "client_address": "10.1.2.3",
        "statement": {"kind": "update", "functions": ["pg_catalog.now"], "estimated_rows": 12.4, "opaque": set()},
        "purpose": "spoofed",
    }
    identity = who("bot", "ann", purpose="training")

    assert decide(with_policies(agents, people), identity, READ, context=facts).effect is Effect.PERMIT
    assert decide(with_policies(agents), identity, READ, context=facts).effect is Effect.DENY
    assert decide(with_policies(people), identity, READ, context=facts).effect is Effect.DENY


def test_a_decision_that_reads_the_hour_expires_with_it_and_others_do_not() -> None:
    timed = with_policies('@id("t") permit (principal, action, resource) when { context.hour < 18 };')

    assert decide(timed, who("ann"), READ).expires_at == NOW.replace(hour=11, minute=0)
    assert decide(starter(), who("ann"), READ).expires_at is None


def test_the_cache_never_answers_for_another_hour_environment_or_chain() -> None:
    engine = with_policies('@id("t") permit (principal, action, resource) when { context.hour == 10 };')
    request = Request(who("ann"), "shop", READ, {})
    snapshot = catalog()

    assert engine.decide(request, snapshot, now=NOW).effect is Effect.PERMIT
    assert engine.decide(request, snapshot, now=NOW + timedelta(hours=1)).effect is Effect.DENY
    assert engine.decide(request, snapshot, now=NOW).effect is Effect.PERMIT


def masked(engine: Engine, identity: Identity, **context: object) -> set[str]:
    snapshot = catalog()
    found = engine.clearance(identity, snapshot, context=context, now=NOW)
    assert found.generation == snapshot.generation
    assert found.revision == engine.revision
    return {snapshot.column_name(ref) for ref in found.masked}


EMAIL, SSN, ODD = "public.people.email", "public.people.ssn", "public.people.odd"
PREFS, CONTACT = "public.people.prefs", "public.orders.contact"


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        (who("root"), set()),
        (who("uma"), set()),
        (who("ann"), {EMAIL, SSN, PREFS, CONTACT}),
        (who("etl"), {EMAIL, SSN, ODD, PREFS, CONTACT}),
        (who("bot"), {EMAIL, SSN, ODD, PREFS, CONTACT}),
        (who("bot", "uma"), {EMAIL, SSN, ODD, PREFS, CONTACT}),
        (who("superbot", "ann"), {EMAIL, SSN, PREFS, CONTACT}),
        (who("superbot", "uma"), set()),
    ],
)
def test_who_sees_what_under_the_starter_policies(identity: Identity, expected: set[str]) -> None:
    assert masked(starter(), identity) == expected


def test_unmask_can_be_given_by_label_table_and_column() -> None:
    label = '@id("l") permit (principal, action == Action::"unmask", resource) when { resource.labels.contains("person.email") };'
    table = '@id("t") permit (principal, action == Action::"unmask", resource in Table::"public.orders");'
    column = '@id("c") permit (principal, action == Action::"unmask", resource == Column::"public.people.ssn");'

    assert masked(with_policies(label), who("ann")) == {SSN, ODD, PREFS}
    assert masked(with_policies(table), who("ann")) == {EMAIL, SSN, ODD, PREFS}
    assert masked(with_policies(column), who("ann")) == {EMAIL, ODD, PREFS, CONTACT}
    assert masked(with_policies(label, table, column), who("ann")) == {ODD, PREFS}


def test_a_document_is_clear_only_when_every_label_inside_it_is() -> None:
    phone = '@id("p") permit (principal, action == Action::"unmask", resource) when { resource.labels.contains("person.phone") };'
    email = '@id("e") permit (principal, action == Action::"unmask", resource) when { resource.labels.contains("person.email") };'

    assert PREFS in masked(with_policies(phone), who("ann"))
    assert PREFS not in masked(with_policies(phone, email), who("ann"))


def test_an_unmask_with_an_obligation_does_not_unmask() -> None:
    held = '@id("h") @hold("x") permit (principal, action == Action::"unmask", resource);'

    assert EMAIL in masked(with_policies(held), who("ann"))


def test_unmask_may_depend_on_purpose_and_address() -> None:
    engine = with_policies(
        '@id("u") permit (principal, action == Action::"unmask", resource) when { context has purpose && '
        'context.purpose == "care" && context.client_address.isInRange(ip("10.0.0.0/8")) };'
    )

    assert masked(engine, who("ann", purpose="care"), client_address="10.0.0.9") == set()
    assert masked(engine, who("ann", purpose="care"), client_address="11.0.0.9")
    assert masked(engine, who("ann"), client_address="10.0.0.9", purpose="care")


def test_every_labelled_column_is_masked_when_no_policy_speaks_of_unmask() -> None:
    found = with_policies('@id("r") permit (principal, action == Action::"read", resource);').clearance(
        who("ann"), catalog(), context={}, now=NOW
    )

    assert ColumnRef(PEOPLE, 1) not in found.masked
    assert len(found.masked) == 5


def test_connecting_is_asked_for_the_database_even_before_a_catalog_was_read() -> None:
    empty = Catalog("shop", "production", 15, 0, {}, {}, {})
    engine = with_policies('@id("c") permit (principal, action == Action::"connect", resource == Database::"shop");')

    assert engine.permits(who("ann"), Action.CONNECT, empty, context={}, now=NOW).effect is Effect.PERMIT
    elsewhere = Catalog("other", "production", 15, 0, {}, {}, {})
    assert engine.permits(who("ann"), Action.CONNECT, elsewhere, context={}, now=NOW).effect is Effect.DENY


def may_approve(name: str, requester: Identity, groups: tuple[str, ...] = ("approvers",)) -> Decision:
    request = Request(requester, "shop", WRITE, BOUNDED)
    return starter().may_approve(PRINCIPALS[name], request, catalog(), hold_groups=groups, now=NOW)


def test_approvers_approve_and_nobody_else() -> None:
    assert may_approve("abe", who("wim")).effect is Effect.PERMIT
    assert may_approve("ann", who("wim")).effect is Effect.DENY
    assert may_approve("ann", who("wim"), ()).effect is Effect.DENY
    assert may_approve("root", who("wim"), ()).effect is Effect.PERMIT
    assert may_approve("root", who("wim")).reasons[0].rule == "not-in-hold-group"


def test_nobody_approves_for_their_own_chain_and_agents_never_do() -> None:
    assert may_approve("abe", who("abe")).reasons[0].rule == "requester-never-approves"
    assert may_approve("abe", who("bot", "abe")).reasons[0].rule == "requester-never-approves"
    assert may_approve("bot", who("wim")).reasons[0].rule == "agents-never-approve"
    assert may_approve("superbot", who("wim"), ()).reasons[0].rule == "agents-never-approve"
    assert may_approve("gone", who("wim"), ()).reasons[0].rule == "unknown-principal"
