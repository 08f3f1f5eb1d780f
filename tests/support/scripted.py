"""One small shop, its people and its analyses, for scripts of sessions (`lockgate.testing.script`)."""

from __future__ import annotations

from datetime import timedelta

from lockgate.model.catalog import Catalog, Column, ColumnRef, Relation, Type
from lockgate.model.identity import Identity, Principal, PrincipalKind
from lockgate.model.statement import (
    Access,
    Action,
    Analysis,
    Kind,
    Level,
    Output,
    SortKey,
    Use,
    UseKind,
    WriteFact,
)
from lockgate.policy.engine import Engine, PolicySet
from lockgate.policy.starter import STARTER
from lockgate.session.wishes import Analyse, Analysed
from lockgate.testing.script import NOON, Script
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import Frame
from lockgate.wire.postgres.typed import from_backend

PEOPLE, ORDERS = 20001, 20002
TEXT = 25
EMAIL, CITY = ColumnRef(PEOPLE, 2), ColumnRef(PEOPLE, 3)
P, A = PrincipalKind.PERSON, PrincipalKind.AGENT
PRINCIPALS = {
    p.name: p
    for p in (
        Principal("root", P, ("administrators",)),
        Principal("uma", P, ("unmaskers",)),
        Principal("ann", P, ("writers",)),
        Principal("rea", P),
        Principal("boss", P, ("approvers",)),
        Principal("bot", A, owner="ann"),
    )
}


def catalog(environment: str = "development", generation: int = 1, *, label: str = "person.email") -> Catalog:
    def columns(*pairs: tuple[str, str]) -> dict[int, Column]:
        return {n: Column(n, name, TEXT, -1, True, label) for n, (name, label) in enumerate(pairs, 1)}

    return Catalog(
        "shop", environment, 150000, generation,
        {
            PEOPLE: Relation(PEOPLE, "public", "people", "r", columns(("id", "none"), ("email", label), ("city", "none"))),
            ORDERS: Relation(ORDERS, "public", "orders", "r", columns(("id", "none"), ("total", "none"))),
        },
        {}, {TEXT: Type(TEXT, "pg_catalog", "text", "b", 0, "S")}, "unknown",
    )  # fmt: skip


def engine(**principals: Principal) -> Engine:
    return Engine(PolicySet.load(STARTER), {**PRINCIPALS, **principals})


def who(name: str, *, purpose: str | None = None, run: str | None = None, behalf: str | None = None) -> Identity:
    return Identity(
        PRINCIPALS[name], PRINCIPALS[behalf] if behalf else None, "token-1", NOON + timedelta(hours=1), (), purpose, run
    )


def script(name: str = "ann", environment: str = "development", *, durable: bool = True) -> Script:
    return Script(who(name), catalog(environment), engine(), durable=durable)


def described(*columns: tuple[str, ColumnRef], binary: bool = False) -> be.RowDescription:
    return be.RowDescription(
        tuple(be.Field(name, ref.relation, ref.attnum, TEXT, -1, -1, int(binary)) for name, ref in columns)
    )


def select(*columns: tuple[str, ColumnRef], effect_free: bool = True, sort: ColumnRef | None = None) -> Analysis:
    """SELECT of plain columns, all of one table; `sort` orders by a column, with ties."""
    refs = frozenset(ref for _, ref in columns)
    oid = next(iter(refs)).relation
    keys = (SortKey(None, frozenset({sort}), True, TEXT),) if sort else ()
    return Analysis(
        Kind.SELECT, tuple(Output(name, TEXT, frozenset({ref}), True) for name, ref in columns),
        tuple(Use(UseKind.OUTPUT, frozenset({ref})) for _, ref in columns), (Level(None, relations=frozenset({oid}), sort=keys),),
        refs, frozenset({oid}), (Access(Action.READ, oid, "public.people" if oid == PEOPLE else "public.orders"),),
        effect_free=effect_free, row_description=described(*columns).encode()[5:],
    )  # fmt: skip


def grouped(*columns: tuple[str, ColumnRef]) -> Analysis:
    """SELECT DISTINCT over masked columns: the order of rows depends on their values."""
    plain = select(*columns)
    refs = frozenset(ref for _, ref in columns)
    levels = (Level(None, relations=plain.relations, deciding=refs, distinct=True),)
    return Analysis(
        plain.kind, plain.outputs, plain.uses, levels, plain.reads, plain.relations, plain.accesses, effect_free=True,
        row_description=plain.row_description,
    )  # fmt: skip


def write(kind: Kind = Kind.UPDATE, relation: int = ORDERS, *, bounded: bool = True) -> Analysis:
    name = "public.people" if relation == PEOPLE else "public.orders"
    return Analysis(
        kind, relations=frozenset({relation}), accesses=(Access(Action.WRITE, relation, name),),
        writes=(WriteFact(kind, relation, bounded=bounded, selective=bounded),),
    )  # fmt: skip


EMAILS = select(("email", EMAIL))
CITIES = select(("city", CITY))
TOTALS = select(("total", ColumnRef(ORDERS, 2)))
PLAIN = Analysis(Kind.TRANSACTION, effect_free=False)


def of(kind: Kind) -> Analysis:
    return Analysis(kind)


def knows(played: Script, *analyses: Analysis) -> Script:
    """Answer the next question about meaning, about so many statements."""
    return played.answer(Analyse, Analysed(analyses, played.around.catalog))


def tags(frames: list[Frame]) -> str:
    return "".join(chr(frame.tag) for frame in frames)


def error_of(frames: list[Frame]) -> be.ErrorResponse:
    (found,) = [frame for frame in frames if frame.tag == ord("E")]
    return from_backend(found, be.ErrorResponse)


def ready(status: str = "I") -> be.ReadyForQuery:
    return be.ReadyForQuery(status)


def done(tag: str) -> be.CommandComplete:
    return be.CommandComplete(tag)


def failure(sqlstate: str = "23505", text: str = "raw@value.example", **more: str) -> be.ErrorResponse:
    return be.ErrorResponse({"S": "ERROR", "V": "ERROR", "C": sqlstate, "M": text, **more})


def begin(played: Script) -> None:
    """Open a transaction."""
    knows(played, PLAIN).client(fe.Query("BEGIN"))
    assert tags(played.forwarded()) == "Q"
    assert tags(played.backend(done("BEGIN"), ready("T"))) == "CZ"
