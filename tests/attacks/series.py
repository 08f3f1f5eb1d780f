"""Where the series of known attacks are played: one database behind a counting relay, and what "refused" and "masked" mean there.

For: the files `test_series_*.py`, whose identifiers are stable names of cases.
Expectation D: refused before a byte reaches the session's link to the database. M: may run, and nothing stored in a masked column
reaches the client. A: must be allowed.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from corpus.client import Address, Answer, Client
from lockgate.wire.postgres import tags
from support.gate import GateProcess
from support.relay import Relay

SETUP = """
CREATE TABLE users(id int PRIMARY KEY, ssn text, email text NOT NULL UNIQUE, full_name text NOT NULL, birth_date date, salary numeric, notes text,
  prefs jsonb, hits int DEFAULT 0, "createdAt" timestamptz DEFAULT '2026-01-01 00:00+00');
INSERT INTO users SELECT g, lpad((700 + g)::text, 3, '0') || '-44-' || lpad((1000 + g * 7)::text, 4, '0'), 'canary' || g || '@raw-value.example',
  'Quenby Wrigglesworth-' || g, date '1950-01-01' + g * 97, 40000 + g * 131, 'called canary' || g || ' about the refund',
  jsonb_build_object('phone', '+44 7700 9' || lpad(g::text, 5, '0'), 'theme', 'dark'), 0 FROM generate_series(1, 200) g;
CREATE TABLE orders(order_id int PRIMARY KEY, user_id int REFERENCES users, amount numeric, status text, contact_email text, dst_number int, number int);
INSERT INTO orders SELECT g, 1 + g % 200, g * 1.5, (ARRAY['paid', 'open', 'void'])[1 + g % 3], (SELECT email FROM users WHERE id = 1 + g % 200), g, g
  FROM generate_series(1, 300) g;
CREATE TABLE parent(id int PRIMARY KEY); CREATE TABLE child(id int REFERENCES parent ON DELETE CASCADE); INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (1);
CREATE SEQUENCE s;
CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.t AS SELECT id, status AS v FROM (SELECT order_id id, status FROM orders) x;
CREATE TABLE b.t(id int, v text); INSERT INTO b.t SELECT id, full_name FROM users;
CREATE VIEW plain AS SELECT id, hits FROM users;
CREATE VIEW contacts AS SELECT id, upper(email) AS mail, left(ssn, 3) AS area FROM users;
CREATE VIEW renamed AS SELECT id, email AS address_of_mail, ssn AS n FROM users;
CREATE VIEW loop_a AS SELECT 1 AS x; CREATE VIEW loop_b AS SELECT x FROM loop_a; CREATE OR REPLACE VIEW loop_a AS SELECT x FROM loop_b;
CREATE FUNCTION wipe() RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN DELETE FROM users; RETURN 1; END $$;
CREATE FUNCTION liar() RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM wipe(); RETURN 1; END $$;
CREATE FUNCTION sure() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM wipe(); RETURN 1; END $$;
CREATE FUNCTION tell(int) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE EXCEPTION 'no' USING DETAIL = (SELECT email FROM users WHERE id = $1); END $$;
CREATE FUNCTION read_sql(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM users WHERE id = $1';
CREATE FUNCTION public.md5(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION over(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT ''number'''; CREATE FUNCTION over(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM users LIMIT 1';
CREATE FUNCTION state(numeric, int) RETURNS numeric LANGUAGE sql AS 'SELECT coalesce($1, 0) + wipe()'; CREATE AGGREGATE summed(int) (sfunc = state, stype = numeric);
CREATE PROCEDURE proc() LANGUAGE sql AS $$ DELETE FROM users $$;
CREATE VIEW trap AS SELECT wipe() AS w;
CREATE OPERATOR @@@ (leftarg = int, rightarg = int, function = pg_catalog.int4pl);
CREATE VIEW writable AS SELECT id, hits FROM users;
CREATE TABLE audited(id int PRIMARY KEY, v text); CREATE FUNCTION spread() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN NEW; END $$;
CREATE TRIGGER spread AFTER INSERT ON audited FOR EACH ROW EXECUTE FUNCTION spread();
CREATE MATERIALIZED VIEW copied AS SELECT id, email AS e, lower(ssn) AS s FROM users;
CREATE TABLE noisy(id int PRIMARY KEY, v text); CREATE TABLE quiet(id int PRIMARY KEY); INSERT INTO quiet SELECT generate_series(1, 9);
CREATE TABLE noisy_child(id int REFERENCES quiet ON DELETE CASCADE); INSERT INTO noisy_child SELECT generate_series(1, 9);
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN SELECT email INTO r FROM users WHERE id = 7; RAISE NOTICE 'n %', r;
  IF TG_OP = 'DELETE' OR NEW.v = 'fail' THEN RAISE EXCEPTION 'e %', r USING DETAIL = r, HINT = r, COLUMN = r, CONSTRAINT = r; END IF; RETURN NEW; END $$;
CREATE TRIGGER shout BEFORE INSERT ON noisy FOR EACH ROW EXECUTE FUNCTION shout();
CREATE CONSTRAINT TRIGGER late AFTER DELETE ON noisy_child DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shout();
ANALYZE;
"""


SIMPLE = ((False, False),)
FORMS = ((False, False), (True, True))
"""Extended protocol, binary results: the two together stand for the forms between, which the corpus plays one by one."""


@dataclass
class Place:
    """The gate, the relay behind it, and everything that must not be seen."""

    gate: GateProcess
    relay: Relay
    owner: str
    clients: dict[str, Client] = field(default_factory=dict)
    secrets: tuple[bytes, ...] = ()

    def learn(self) -> None:
        """Read what is stored, as its owner."""
        with psycopg.connect(self.owner, autocommit=True) as owner:
            rows = owner.execute(
                "SELECT ssn, email, full_name, birth_date::text, notes, prefs->>'phone' FROM users ORDER BY id LIMIT 40"
            ).fetchall()
        found: list[bytes] = []
        for cell in (str(cell) for row in rows for cell in row):
            raw = cell.encode()
            digits = "".join(c for c in cell if c.isdigit()).encode()
            found += [raw, raw.upper(), raw.lower(), raw[::-1], raw.hex().encode(), base64.b64encode(raw)[:-4]]
            found += [getattr(hashlib, name)(raw).hexdigest().encode() for name in ("md5", "sha1", "sha256")]
            found += [digits] if len(digits) > 8 else []
        self.secrets = (*found, b"raw-value", b"RAW-VALUE", b"Wrigglesworth", b"WRIGGLESWORTH")

    def client(self, who: str = "bot") -> Client:
        """The open session of a principal; a new one when there is none or it has ended."""
        if who not in self.clients:
            gate = self.gate
            self.clients[who] = Client(Address(gate.host, gate.port, who, gate.token(who), "shop"))
            self.clients[who].simple("SELECT 1")
        return self.clients[who]

    def drop(self, who: str = "bot") -> None:
        """Forget a session."""
        client = self.clients.pop(who, None)
        if client is not None:
            client.close()

    def ask(self, text: str, who: str = "bot", *, extended: bool = False, binary: bool = False) -> Answer:
        """One statement; afterwards the session is idle again."""
        client = self.client(who)
        answer = client.extended(text, binary=binary) if extended else client.simple(text)
        if answer.ended:
            self.drop(who)
        elif answer.frames[-1].body != b"I":
            client.simple("ROLLBACK")
        return answer

    def let_through(self, statements: Iterable[str], who: str = "bot") -> list[str]:
        """Of statements that must be refused, those that were not, or that sent a byte to the database first."""
        wrong = []
        for text in statements:
            for extended in (False, True):
                self.client(who)
                before = self.relay.sessions()
                client = self.client(who)
                answer = client.extended(text) if extended else client.simple(text)
                sent = self.relay.sessions() - before
                if not answer.errors or any(f.tag in (tags.DATA_ROW, tags.COPY_DATA) for f in answer.frames):
                    wrong.append(f"{'extended' if extended else 'simple'}: answered: {text[:120]}")
                elif sent and not answer.ended:
                    wrong.append(f"{'extended' if extended else 'simple'}: {sent} bytes sent: {text[:120]}")
                if answer.ended:
                    self.drop(who)
                elif answer.frames[-1].body != b"I":
                    client.simple("ROLLBACK")
        return wrong

    def shown(
        self, statements: Iterable[str], who: str = "bot", forms: Sequence[tuple[bool, bool]] | None = None
    ) -> list[str]:
        """Of statements that may run masked, those whose answer has something stored in it."""
        wrong = []
        for text in statements:
            for extended, binary in FORMS if forms is None else forms:
                answer = self.ask(text, who, extended=extended, binary=binary)
                data = b"\x00".join(f.body for f in answer.frames)
                told = text.encode()
                found = next((s for s in self.secrets if s in data and s not in told), None)
                if found is not None:
                    wrong.append(f"{text[:120]}: {found!r}")
        return wrong

    def refused(self, statements: Iterable[str], who: str = "bot") -> list[str]:
        """Of statements that must be allowed, those that were not."""
        wrong = []
        for text in statements:
            answer = self.ask(text, who)
            if answer.errors:
                wrong.append(f"{text[:120]}: {answer.errors[0].message[:120]}")
        return wrong

    def wait_for(self, text: str, seconds: float = 60.0, who: str = "bot") -> None:
        """Wait until the gate has noticed a definition made past it."""
        deadline = time.monotonic() + seconds
        while self.ask(text, who).errors and time.monotonic() < deadline:
            time.sleep(0.2)

    def wait_until(self, text: str, rows: list[list[bytes]], who: str) -> None:
        """Wait until a statement's answer has these rows."""
        deadline = time.monotonic() + 60
        while (answer := self.ask(text, who)).rows != rows:
            if time.monotonic() > deadline:
                raise AssertionError(f"{text}: {answer.rows}")
            time.sleep(0.2)

    def rows(self, text: str, who: str = "bot") -> list[list[bytes | None]]:
        """The rows of an answer that must not fail."""
        answer = self.ask(text, who)
        if answer.errors:
            raise AssertionError(f"{text}: {answer.errors[0].message}")
        return answer.rows

    def state(self) -> object:
        """What must not have changed."""
        with psycopg.connect(self.owner, autocommit=True) as owner:
            return owner.execute(
                "SELECT (SELECT md5(string_agg(u::text, '' ORDER BY id)) FROM users u), (SELECT count(*) FROM orders), (SELECT count(*) FROM parent),"
                " (SELECT count(*) FROM child), (SELECT last_value FROM s), (SELECT is_called FROM s),"
                " (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace), (SELECT count(*) FROM pg_roles)"
            ).fetchone()

    def function_call(self, name: str, argument: str) -> Answer:
        """The FunctionCall message for a function."""
        with psycopg.connect(self.owner, autocommit=True) as owner:
            (oid,) = owner.execute("SELECT %s::regproc::oid", [name]).fetchone() or (0,)
        return self.client().function_call(oid, argument)


def by_case(cases: Mapping[str, Sequence[str]], check: Callable[[Iterable[str]], list[str]]) -> dict[str, list[str]]:
    """What a check finds, by identifier; empty when all is well."""
    return {name: found for name, statements in cases.items() if (found := check(statements))}
