"""PgBouncer CVE-2025-12819: a search_path of the start-up packet made the pooler's own question before authentication run foreign code.

The gate asks a database nothing before a client has signed in, and what it asks later means the same under any search_path.
"""

from __future__ import annotations

import psycopg

from attacks.series import Place
from corpus.client import Address, Client

EVIL = """
CREATE SCHEMA evil; CREATE TABLE evil.ran(what text); GRANT USAGE ON SCHEMA evil TO PUBLIC; GRANT INSERT ON evil.ran TO PUBLIC;
CREATE FUNCTION evil.note(text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO evil.ran VALUES ($1); END $$;
CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.note('current_setting'); RETURN 'x'; END $$;
CREATE FUNCTION evil.same(name, name) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.note('='); RETURN true; END $$;
CREATE FUNCTION evil.more(bigint, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.note('>'); RETURN false; END $$;
CREATE FUNCTION evil.member(oid, oid, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.note('member'); RETURN false; END $$;
CREATE OPERATOR evil.= (leftarg = name, rightarg = name, function = evil.same);
CREATE FUNCTION evil.same(oid, oid) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.note('oid ='); RETURN pg_catalog.oideq($1, $2); END $$;
CREATE OPERATOR evil.= (leftarg = oid, rightarg = oid, function = evil.same);
CREATE OPERATOR evil.> (leftarg = bigint, rightarg = int, function = evil.more);
CREATE FUNCTION evil.step(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.note('count'); RETURN 0; END $$;
CREATE AGGREGATE evil.count(*) (sfunc = evil.step, stype = bigint, initcond = '0');
CREATE VIEW evil.pg_roles AS SELECT * FROM pg_catalog.pg_roles;
"""
PATH = [("search_path", "evil, pg_catalog, public")]


def test_nothing_is_asked_before_the_client_has_signed_in(place: Place) -> None:
    before = len(place.relay.sent), sum(map(len, place.relay.sent))
    for user in ("bot", "nobody", 'x"; SELECT evil.note(1); --'):
        with Client(Address(place.gate.host, place.gate.port, user, "no credential", "shop"), PATH) as client:
            assert client.greeting.ended
    quiet = {bytes(sent[:200]) for sent in place.relay.sent[before[0] :] if b"application_name\0lg:" in sent}
    assert quiet == set()


def test_what_the_gate_asks_itself_means_the_same_under_any_search_path(place: Place) -> None:
    with psycopg.connect(place.owner, autocommit=True) as owner:
        owner.execute(EVIL)
        try:
            for who in ("bot", "clara"):
                address = Address(place.gate.host, place.gate.port, who, place.gate.token(who), "shop")
                with Client(address, PATH) as client:
                    assert not client.simple("SELECT order_id FROM public.orders LIMIT 1").errors
                    client.simple("SET search_path = evil, pg_catalog")
                    assert not client.simple("SELECT order_id FROM public.orders LIMIT 2").errors
            owner.execute("CREATE TABLE public.made_meanwhile(id int)")
            place.wait_for("SELECT id FROM public.made_meanwhile")
            owner.execute("DROP TABLE public.made_meanwhile")
            assert owner.execute("SELECT what FROM evil.ran").fetchall() == []
        finally:
            owner.execute("DROP SCHEMA evil CASCADE")
