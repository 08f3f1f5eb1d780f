"""The command line: helpful by itself, exact about time, and honest in its exit codes."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from lockgate.cli import main as command_line
from lockgate.cli.log_search import moment
from lockgate.cli.main import main, parser
from lockgate.cli.roles import RoleNames, quoted, verifier
from lockgate.cli.token import duration
from lockgate.errors import ConfigError, GateUnreachableError
from lockgate.testing.engines import EmbeddedPostgres


def commands(top: argparse.ArgumentParser, name: str = "lockgate") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield f"{name} {word}", inner
                yield from commands(inner, f"{name} {word}")


TOP = [(name, found) for name, found in commands(parser()) if name.count(" ") == 1]


@pytest.mark.parametrize(
    ("name", "found"), [("lockgate", parser()), *TOP], ids=lambda v: v if isinstance(v, str) else ""
)
def test_the_help_of_every_command_has_examples_that_begin_with_it(name: str, found: argparse.ArgumentParser) -> None:
    text = found.format_help()
    assert "examples:" in text
    examples = [line for line in text.split("examples:")[1].splitlines() if line.startswith("  ")]
    assert examples
    assert any(name in line for line in examples)


def test_every_example_is_one_that_the_parser_takes() -> None:
    for _, found in [("lockgate", parser()), *TOP]:
        for line in found.format_help().split("examples:")[1].splitlines():
            match = re.match(r"  (?:\w+=\S*\$\(.*?\) )?lockgate (.*)$", line)
            if match and not match[1].startswith("("):
                parser().parse_args(shlex.split(re.split(r"\s{3,}|\s+#|\s<\s", match[1])[0]))


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("30m", 1800), ("8h", 28800), ("0s", 0)])
def test_durations_are_read_exactly(text: str, expected: int) -> None:
    assert duration(text) == timedelta(seconds=expected)


@pytest.mark.parametrize("text", ["", "8", "h", "1d", "-1h", "1.5h", "8 h", "8H", "1h30m", "9999999s", "1h1"])
def test_anything_else_is_not_a_duration(text: str) -> None:
    with pytest.raises(ConfigError, match="not a duration"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00.000000Z"),
        ("2026-11-22T10:00:00+02:00", "2026-11-22T08:00:00.000000Z"),
        ("2026-11-22T10:00:00.25", "2026-11-22T10:00:00.250000Z"),
        ("2026-11-22", "2026-11-22T00:00:00.000000Z"),
    ],
)
def test_moments_are_written_as_entries_write_them(text: str, expected: str) -> None:
    assert moment(text) == expected


def test_a_moment_may_be_so_long_ago() -> None:
    before = datetime.now(UTC) - timedelta(hours=24)
    found = datetime.strptime(moment("24h"), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert before <= found <= datetime.now(UTC) - timedelta(hours=24) + timedelta(seconds=60)


@pytest.mark.parametrize("text", ["yesterday", "24", "2026-13-01", ""])
def test_anything_else_is_not_a_moment(text: str) -> None:
    with pytest.raises(ConfigError, match="not a time"):
        moment(text)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0), (["--version"], 0), ([], 2), (["dance"], 2), (["log", "show", "--config", "missing.toml", "1"], 2),
        (["token", "ann", "--config", "missing.toml"], 2), (["init", "--dir", "x", "--database", "no-dsn"], 2),
    ],
)  # fmt: skip
def test_exit_codes_say_what_kind_of_answer_it_was(
    arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == status
    if status == 2:
        assert capsys.readouterr().err


def test_a_gate_that_cannot_be_reached_has_its_own_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_: argparse.Namespace) -> int:
        raise GateUnreachableError("no gate answers")

    options = argparse.Namespace(handler=unreachable)
    monkeypatch.setattr(command_line, "parser", lambda: argparse.Namespace(parse_args=lambda _: options))
    assert main([]) == 3


def test_a_configuration_with_problems_lists_all_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "lockgate.toml"
    config.write_text('[gateway]\nlisten = 5\nnonsense = 1\n[limits]\nlinks_max = "x"\n')
    assert main(["token", "ann", "--config", str(config)]) == 2
    assert len(capsys.readouterr().err.splitlines()) >= 3


@pytest.mark.parametrize("password", ["plain", "pässword \u2168", "x" * 200])
def test_a_verifier_is_one_that_the_server_itself_accepts(pg15: EmbeddedPostgres, password: str) -> None:
    made = verifier(password)
    assert re.fullmatch(r"SCRAM-SHA-256\$4096:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=", made)
    assert made != verifier(password)
    role = sql.Identifier("verified")
    with psycopg.connect(pg15.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(made)))
        try:
            stored = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'verified'").fetchone()
            assert stored == (made,)
            with psycopg.connect(pg15.dsn(), user="verified", password=password) as link:
                assert link.execute("SELECT current_user").fetchone() == ("verified",)
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(pg15.dsn(), user="verified", password=password + "x")
        finally:
            admin.execute(sql.SQL("DROP ROLE {}").format(role))


def test_role_names_are_fresh_lower_case_and_short_enough() -> None:
    one, two = (RoleNames.fresh("Shop-" + "x" * 80, existing=None) for _ in range(2))
    assert one.masked != two.masked
    assert all(re.fullmatch(r"[a-z0-9_]{1,63}", name) for name in one.made)
    assert RoleNames.fresh("shop", existing="app").made[0].endswith("_analysis")
    assert quoted('a"b') == '"a""b"'
