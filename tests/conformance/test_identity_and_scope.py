"""Who sees what: delegation takes the stricter mask, pseudonyms follow purpose, environment and keys, credentials are narrow."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess, replaced
from support.servers import MakeDatabase
from support.waiting import accepted

SETUP = """
CREATE TABLE people(id int PRIMARY KEY, email text, mystery text);
INSERT INTO people VALUES (1, 'real@raw-value.example', 'raw mystery'), (2, 'other@raw-value.example', 'more');
"""
PERSON_UNMASKS = """
@id("clara-sees") permit (principal == Person::"clara", action == Action::"unmask", resource);
@id("bot-never-production-column") forbid (principal == Agent::"bot", action == Action::"read", resource == Table::"public.secret_plans");
"""
READ = "SELECT email, mystery FROM people ORDER BY id"


@pytest.fixture
def gate(pg18: EmbeddedPostgres, make_database: MakeDatabase, tmp_path: Path) -> Iterator[GateProcess]:
    databases = {"shop": (make_database(pg18, SETUP), "production"), "lab": (make_database(pg18, SETUP), "development")}
    running = GateProcess(tmp_path / "gate", databases, policies={"90-own.cedar": PERSON_UNMASKS}).init().start()
    yield running
    running.stop()


def _read(gate: GateProcess, who: str, database: str = "shop", *token: str) -> list[tuple[object, ...]]:
    credential = gate.token(who, *token)
    with psycopg.connect(
        host=gate.host,
        port=gate.port,
        user=who,
        password=credential,
        dbname=database,
        sslmode="require",
        autocommit=True,
    ) as client:
        return client.execute(READ).fetchall()


def test_people_see_unlabelled_columns_agents_do_not_and_unmaskers_see_all(gate: GateProcess) -> None:
    clara, ann, bot = _read(gate, "clara"), _read(gate, "ann"), _read(gate, "bot")
    assert clara[0] == ("real@raw-value.example", "raw mystery")
    assert ann[0][1] == "raw mystery"
    assert "raw-value" not in str(ann[0][0])
    assert not any(value in str(bot) for value in ("raw-value", "raw mystery"))


def test_acting_for_a_person_takes_the_stricter_of_both(gate: GateProcess) -> None:
    for_clara = _read(gate, "bot", "shop", "--on-behalf-of", "clara")
    assert not any(value in str(for_clara) for value in ("raw-value", "raw mystery"))
    (row,) = gate.search("--on-behalf-of", "clara")
    assert (row["principal"], row["on_behalf_of"]) == ("bot", "clara")


def test_pseudonyms_are_stable_and_follow_purpose_and_environment(gate: GateProcess) -> None:
    plain = _read(gate, "bot")
    assert _read(gate, "bot") == plain
    assert _read(gate, "etl")[0][0] == plain[0][0]
    training = _read(gate, "bot", "shop", "--purpose", "training", "--run", "run-1")
    assert training[0][0] != plain[0][0]
    assert _read(gate, "bot", "lab")[0][0] != plain[0][0]
    (row,) = gate.search("--run", "run-1")
    assert row["purpose"] == "training"


def test_a_second_gate_with_the_same_keys_gives_equal_pseudonyms(gate: GateProcess, tmp_path: Path) -> None:
    second = GateProcess(tmp_path / "second", gate.databases).init()
    shutil.copy(gate.folder / "keys" / "pseudonym.key", second.folder / "keys" / "pseudonym.key")
    second.start()
    try:
        assert _read(second, "bot")[0][0] == _read(gate, "bot")[0][0]
    finally:
        second.stop()


def test_a_credential_is_good_for_its_database_and_its_time_only(gate: GateProcess) -> None:
    assert _read(gate, "bot", "lab", "--database", "lab")
    gate.token("bot", "--ttl", "1s")
    time.sleep(1.2)
    for said, arguments in (("was not accepted", ("--database", "lab")), ("has expired", ("--ttl", "1s"))):
        with pytest.raises(psycopg.OperationalError, match=said):
            _read(gate, "bot", "shop", *arguments)
    for bad in ("13h", "0s", "soon"):
        assert gate.run("token", "bot", "--config", str(gate.config), "--ttl", bad, check=False).returncode == 2
    assert gate.run("token", "nobody", "--config", str(gate.config), check=False).returncode == 2


def test_edited_policies_and_labels_take_effect_while_the_gate_runs(gate: GateProcess) -> None:
    assert not any(value in str(_read(gate, "bot")) for value in ("raw-value", "raw mystery"))
    labelling = ("catalog", "label", "--config", str(gate.config), "--database", "shop", "public.people.mystery")
    with gate.connect("bot", "shop") as client:
        for label in ("none", "unknown", "none"):
            gate.run(*labelling, label)
            shown = str(client.execute("SELECT mystery FROM people").fetchall())
            assert ("raw mystery" in shown) is (label == "none"), "from the next statement on"
    extra = gate.folder / "policies" / "95-more.cedar"
    with gate.reloads():
        replaced(extra, '@id("bot-may") permit (principal == Agent::"bot", action == Action::"unmask", resource);')
    assert _read(gate, "bot")[0] == ("real@raw-value.example", "raw mystery")
    with gate.reloads():
        replaced(extra, '@id("broken") permit (principal ==')
    assert _read(gate, "bot")[0] == ("real@raw-value.example", "raw mystery")
    assert gate.run("policy", "check", "--config", str(gate.config), check=False).returncode == 2
    with gate.reloads():
        extra.unlink()
    assert "real@" not in str(_read(gate, "bot"))
    assert gate.run("policy", "check", "--config", str(gate.config)).returncode == 0


def test_what_is_made_after_init_follows_its_source_and_gets_a_line(gate: GateProcess) -> None:
    dsn = gate.databases["shop"][0]
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("CREATE MATERIALIZED VIEW copied AS SELECT id, email AS handle FROM people")
        owner.execute("CREATE MATERIALIZED VIEW copied_again AS SELECT id, handle AS h FROM copied")
        owner.execute("CREATE TABLE fresh(id int, mobile text)")
        for role in owner.execute(
            "SELECT rolname FROM pg_roles WHERE rolname ~ '^lockgate_shop.*(masked|clear)$'"
        ).fetchall():
            owner.execute(f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{role[0]}"'.encode())
    with gate.connect("ann", "shop") as client:
        for name in ("copied", "copied_again"):
            accepted(lambda name=name: client.execute(f"SELECT * FROM {name}".encode()))  # type: ignore[misc]
            rows = client.execute(f"SELECT * FROM {name} ORDER BY id".encode()).fetchall()
            assert len(rows) == 2
            assert "raw-value" not in str(rows)
    arguments = ("--config", str(gate.config), "--database", "shop")
    assert gate.run("catalog", "label", *arguments, "public.fresh.mobile", "none", check=False).returncode == 2
    assert "name one of this gate's: shop, lab" in gate.run("catalog", "refresh", *arguments[:2], check=False).stderr
    done = gate.run("catalog", "refresh", *arguments)
    assert "public.fresh.mobile" in done.stdout
    assert "person.phone" in done.stdout
    assert gate.run("catalog", "label", *arguments, "public.fresh.mobile", "none").returncode == 0


def test_a_misspelt_search_does_not_read_as_nobody(gate: GateProcess) -> None:
    for option, word in (
        ("--label", "bogus"),
        ("--decision", "allowed"),
        ("--environment", "prod"),
        ("--kind", "nothing"),
        ("--limit", "0"),
    ):
        assert gate.run("log", "search", "--config", str(gate.config), option, word, check=False).returncode == 2
    said = gate.run(
        "log", "search", "--config", str(gate.config), "--principal", "annn", "--column", "people.emial"
    ).stderr
    assert "nothing was found" in said
    assert "`people.emial`" in said
    assert "`annn` is not a principal" in said
    said = gate.run(
        "log",
        "search",
        "--config",
        str(gate.config),
        "--principal",
        "ann",
        "--column",
        "email",
        "--until",
        "2000-01-01",
    ).stderr
    assert said == "lockgate: nothing was found\n"
    for kind in ("admin", "session", "boot", "policy"):
        assert gate.run("log", "search", "--config", str(gate.config), "--kind", kind).returncode == 0
    assert gate.run("log", "show", "gate/1#0", "--text", "--config", str(gate.config), check=False).returncode == 1
    assert gate.run(
        "serve", "--config", str(gate.config), "--listen", f"127.0.0.1:{gate.port}", check=False
    ).returncode in (1, 2)


def test_wrong_files_are_all_named_at_once_and_nothing_starts(gate: GateProcess) -> None:
    gate.stop()
    gate.config.write_text(gate.config.read_text() + "\n[nonsense]\nx = 1\n")
    done = gate.run("serve", "--config", str(gate.config), check=False)
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    gate.config.write_text(gate.config.read_text().replace("\n[nonsense]\nx = 1\n", ""))
    (gate.folder / "principals.toml").write_text('[[principal]]\nname = "x"\nkind = "robot"\n')
    catalog = gate.folder / "catalog.toml"
    catalog.write_text(catalog.read_text() + '"public.people.other" = "person.emial"\n')
    (gate.folder / "policies" / "90-own.cedar").write_text("permit (")
    done = gate.run("serve", "--config", str(gate.config), check=False)
    assert done.returncode == 2
    for part in (
        "principals.toml:3:",
        "`person`, `service` or `agent`",
        "catalog.toml:",
        "person.email",
        "policies/90-own.cedar:1:",
    ):
        assert part in done.stderr, done.stderr


def test_a_stopped_gate_is_unreachable_with_exit_status_three(gate: GateProcess) -> None:
    gate.stop()
    assert gate.run("request", "list", "--config", str(gate.config), check=False).returncode == 3


def test_nothing_of_statements_stands_in_clear_under_the_folder(gate: GateProcess) -> None:
    with gate.connect("bot", "shop") as client:
        client.execute("SELECT id FROM people WHERE id = 1 AND 'needle-literal' <> 'x'")
        client.execute("SELECT %s::text", ("needle-parameter",))
        guess = "SELECT id FROM people WHERE email = 'needle-guess@mail.example'"
        assert client.execute(guess.encode()).fetchall() == []
    with gate.connect("ann", "lab") as client, pytest.raises(psycopg.Error):
        client.execute("ALTER ROLE ann PASSWORD 'needle-password'")
    gate.stop()
    for path in gate.folder.rglob("*"):
        if path.is_file():
            assert b"needle" not in path.read_bytes(), path
    texts = [
        gate.run("log", "show", f"{r['log']}#{r['index']}", "--text", "--config", str(gate.config)).stdout
        for r in gate.search()
    ]
    assert sum("needle" in text for text in texts) >= 2


def test_health_and_metrics_answer_on_loopback(gate: GateProcess) -> None:
    import urllib.request

    _read(gate, "bot")
    with urllib.request.urlopen(f"http://{gate.metrics}/healthz") as answer:
        assert b"ok: True" in answer.read()
    with urllib.request.urlopen(f"http://{gate.metrics}/metrics") as answer:
        text = answer.read().decode()
    for name in ("lockgate_sessions", "lockgate_ledger_lag", "lockgate_decisions_total"):
        assert name in text
    assert "raw-value" not in text


def test_whoever_may_sign_in_is_told_what_is_wrong_with_where_he_wants_to_go(gate: GateProcess) -> None:
    with pytest.raises(psycopg.OperationalError, match="this gate has no database of that name"):
        gate.connect("ann", "nosuch")
    short = gate.token("ann", "--ttl", "1s")
    time.sleep(1.5)
    with pytest.raises(psycopg.OperationalError, match="the credential has expired"):
        psycopg.connect(gate.dsn("ann", "shop"), password=short)
    with pytest.raises(psycopg.OperationalError, match="the credential was not accepted"):
        psycopg.connect(gate.dsn("ann", "nosuch"), password="x" + short)
    reasons = {row["event"]: row for row in gate.search("sessions", "--principal", "ann")}
    assert "rejected" in reasons


def test_a_second_gate_of_the_same_folder_says_that_one_runs(gate: GateProcess) -> None:
    second = gate.run("serve", "--config", str(gate.config), "--listen", "127.0.0.1:0", check=False)
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert f"a gate runs on {gate.folder} already" in second.stderr


def test_the_statements_for_the_roles_are_kept_where_only_the_owner_reads(
    pg18: EmbeddedPostgres, make_database: MakeDatabase, tmp_path: Path
) -> None:
    dsn, folder = make_database(pg18, SETUP), tmp_path / "kept"
    unused = GateProcess(tmp_path / "unused", {})
    said = unused.run("init", "--dir", str(folder), "--database", f"shop={dsn}", "--environment", "staging").stdout
    script = folder / "keys" / "shop.roles.sql"
    assert (script.stat().st_mode & 0o777, str(script) in said) == (0o600, True)
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(script.read_bytes())
    started = GateProcess(folder, {"shop": (dsn, "staging")}).start()
    started.stop()
    assert "database-unreachable" not in (folder / "stderr.txt").read_text()
