"""Bodies of functions in LANGUAGE sql, as the server reads them.

For: the trees of a body under the search_path that it runs under, and what decides how it runs. The server's own check of a function,
which `CREATE FUNCTION` makes as well, analyses and rewrites the body, argument names and BEGIN ATOMIC included; nothing is executed,
nothing is written, and a role that may not call the function is told nothing.
Not for: what a body means (`sql.bodies`).
Source: PostgreSQL 14 to 18, pg_proc.c (fmgr_sql_validator); masking.md 1.2.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

from lockgate.errors import RefusedStatementError
from lockgate.model.statement import Analysis, Called
from lockgate.sql.bodies import DEPTH_MAX, Body
from lockgate.sql.tree import read_trees
from lockgate.transport.pgclient import PgClient, ServerRejectedError

_EQUAL = "OPERATOR(pg_catalog.=)"
_BODY = f"""
SELECT pg_catalog.fmgr_sql_validator(p.oid), p.pronargs, p.prosqlbody IS NULL, p.prosecdef, pg_catalog.array_to_json(p.proconfig),
       p.proargdefaults::pg_catalog.text,
       CASE WHEN p.proargmodes IS NOT NULL AND p.prorettype {_EQUAL} 2249::pg_catalog.oid THEN
              (SELECT pg_catalog.string_agg(a.t::pg_catalog.text, ' ' ORDER BY a.n)
               FROM ROWS FROM (pg_catalog.unnest(p.proallargtypes), pg_catalog.unnest(p.proargmodes)) WITH ORDINALITY AS a(t, m, n)
               WHERE a.m::pg_catalog.text {_EQUAL} 'o'::pg_catalog.text OR a.m::pg_catalog.text {_EQUAL} 'b'::pg_catalog.text
                 OR a.m::pg_catalog.text {_EQUAL} 't'::pg_catalog.text)
            WHEN p.prorettype {_EQUAL} 2249::pg_catalog.oid THEN ''
            WHEN t.typtype {_EQUAL} 'c'::pg_catalog."char" THEN
              (SELECT pg_catalog.string_agg(a.atttypid::pg_catalog.text, ' ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
               WHERE a.attrelid {_EQUAL} t.typrelid AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2)
            ELSE p.prorettype::pg_catalog.text END
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_type t ON t.oid {_EQUAL} p.prorettype
WHERE p.oid {_EQUAL} """  # noqa: S608 - our own pieces, and a number behind them
_UNREAD = Body(unread=True)
_SAVEPOINT = "lockgate_body"


async def with_bodies(
    client: PgClient,
    search_path: str,
    make: Callable[[Mapping[Called, Body]], Analysis],
    *,
    in_transaction: bool = False,
) -> Analysis:
    """An analysis with the bodies of all functions that belong to it.

    Args:
        search_path: of the session, under which the client's connection is left.
        make: the analysis, with the bodies that are known so far.
        in_transaction: a transaction is open that must go on after an error.
    """
    bodies: dict[Called, Body] = {}
    found = make(bodies)
    for _ in range(DEPTH_MAX + 1):
        missing = [called for called in found.called if called not in bodies]
        if not missing:
            break
        bodies |= await _read(client, search_path, missing, in_transaction=in_transaction)
        found = make(bodies)
    return found


async def _read(
    client: PgClient, search_path: str, wanted: Iterable[Called], *, in_transaction: bool
) -> dict[Called, Body]:
    found = {}
    for called in wanted:
        await client.see_names_as(called.search_path or search_path)
        if in_transaction:
            await client.query(f"SAVEPOINT {_SAVEPOINT}")
        try:
            found[called] = await _body(client, called.function)
        except ServerRejectedError:
            found[called] = _UNREAD
        except RefusedStatementError:
            found[called] = _UNREAD
        if in_transaction:
            await client.query(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}; RELEASE SAVEPOINT {_SAVEPOINT}")
    await client.see_names_as(search_path)
    return found


async def _body(client: PgClient, function: int) -> Body:
    rows, trees = await client.query_with_trees(f"{_BODY}{function}::pg_catalog.oid")
    if len(rows) != 1 or len(trees) < 2:  # the first tree is this question's own
        return _UNREAD
    _, arguments, is_text, as_owner, settings, defaults, columns = [(cell or b"").decode() for cell in rows[0]]
    pairs = [text.partition("=") for text in json.loads(settings or "[]")]
    return Body(
        statements=tuple(read_trees(tree) for tree in trees[1:]),
        arguments=int(arguments),
        defaults=defaults,
        columns=tuple(int(number) for number in columns.split()),
        settings=tuple((name.lower(), value or '""') for name, _, value in pairs),
        is_text=is_text == "t",
        as_owner=as_owner == "t",
    )
