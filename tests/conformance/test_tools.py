"""psql, pg_dump, pg_restore, pgbench, and the questions that DBeaver, DataGrip, Metabase and Superset ask when they start."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import pq

from conformance.drivers.cases import SETUP, UNLABELLED, raw_values
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import Psql, create_database, drop_database

TOOLS = Path(__file__).with_name("tools")
SKIPPED_COLUMNS = {
    "relpages",
    "reltuples",
    "relallvisible",
    "relfrozenxid",
    "relminmxid",
    "reloptions",
    "acl",
    "relacl",
    "nspacl",
}
"""Columns that differ between two moments or between two people asking, not between two ways of asking."""


@pytest.fixture(scope="module")
def place(pg15: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, GateProcess]]:
    databases = {
        name: (create_database(pg15, name, script), "development")
        for name, script in (("tools", SETUP), ("tools2", ""))
    }
    dsn = databases["tools"][0]
    gate = GateProcess(tmp_path_factory.mktemp("tools") / "gate", databases).init()
    gate.label("tools", "none", *UNLABELLED)
    gate.start()
    yield dsn, gate
    assert gate.stop() == 0
    drop_database(pg15, "tools")
    drop_database(pg15, "tools2")


def statements(tool: str) -> list[str]:
    """The statements of one tool, one a line."""
    lines = (TOOLS / f"{tool}.sql").read_text(encoding="utf-8").splitlines()
    return [line.rstrip(";") for line in lines if line and not line.startswith("--")]


Answer = tuple[Any, Any]
"""Names and rows, or an SQLSTATE and a text."""


def is_failure(answer: Answer) -> bool:
    """Whether the statement was not answered."""
    return isinstance(answer[0], bytes)


def replay(dsn: str, tool: str) -> list[tuple[str, Answer]]:
    """Each statement, prepared by the protocol as JDBC does it, with its answer."""
    found: list[tuple[str, Answer]] = []
    with psycopg.connect(dsn, autocommit=True) as link:
        for number, text in enumerate(statements(tool)):
            result = link.pgconn.prepare(f"s{number}".encode(), text.encode())
            if result.status == pq.ExecStatus.COMMAND_OK:
                result = link.pgconn.exec_prepared(f"s{number}".encode(), [])
            if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
                found.append((text, (result.error_field(pq.DiagnosticField.SQLSTATE), result.error_message)))
                continue
            names = [(result.fname(n) or b"").decode() for n in range(result.nfields)]
            rows = [
                tuple(result.get_value(r, c) for c in range(result.nfields) if names[c] not in SKIPPED_COLUMNS)
                for r in range(result.ntuples)
            ]
            found.append((text, (names, rows)))
    return found


@pytest.mark.parametrize("tool", ["dbeaver", "datagrip", "metabase", "superset"])
def test_what_a_tool_asks_at_its_start_is_answered_as_without_the_gate(
    tool: str, place: tuple[str, GateProcess]
) -> None:
    dsn, gate = place
    direct = replay(dsn, tool)
    assert [text for text, answer in direct if is_failure(answer)] == []
    assert replay(gate.dsn("root", "tools"), tool) == direct
    masked = replay(gate.dsn("ann", "tools"), tool)
    assert [text for text, answer in masked if is_failure(answer)] == [text for text, _ in direct if "_size(" in text]
    for (text, expected), (_, got) in zip(direct, masked, strict=True):
        if "people" in text and "email" in text:
            assert not any(value in str(got) for value in raw_values())
            assert len(got[1]) == len(expected[1]) == 50
        elif not is_failure(got):
            assert got == expected, text


def program(
    pg15: EmbeddedPostgres, name: str, *arguments: str, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one of the server's own client programs."""
    return subprocess.run(
        [str(pg15.installation.program(name)), *arguments],
        input=text, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip


def test_psql_prints_the_same_for_who_sees_everything(place: tuple[str, GateProcess], psql: Psql) -> None:
    dsn, gate = place
    script = (TOOLS / "psql.sql").read_text(encoding="utf-8")
    printed = []
    for target in (dsn, gate.dsn("root", "tools")):
        done = psql.run(target, "-X", "-a", script=script)
        text = re.sub(
            r"^(You are connected|SSL connection|LOCATION:).*\n", "", done.stdout + done.stderr, flags=re.MULTILINE
        )
        printed.append(re.sub(r"compression: off\)\n", "", text))
    assert printed[0] == printed[1]
    assert "nothing" in printed[0]


def test_psql_describes_and_reads_for_who_sees_masks(place: tuple[str, GateProcess], psql: Psql) -> None:
    _, gate = place
    script = (TOOLS / "psql.sql").read_text(
        encoding="utf-8"
    ) + "SELECT * FROM people;\n\\set FETCH_COUNT 7\nSELECT id, email FROM people;\n"
    done = psql.run(gate.dsn("ann", "tools"), "-X", script=script)
    assert "lockgate" not in done.stderr
    assert not any(value in done.stdout for value in raw_values())
    assert done.stdout.count("York") == 50


def test_a_dump_through_the_gate_is_the_dump_and_can_be_restored_through_it(
    place: tuple[str, GateProcess], pg15: EmbeddedPostgres, tmp_path: Path
) -> None:
    dsn, gate = place
    dumps = []
    for target in (dsn, gate.dsn("root", "tools")):
        done = program(pg15, "pg_dump", "--dbname", target)
        assert done.returncode == 0, done.stderr
        dumps.append(re.sub(r"(?m)^\\(un)?restrict .*$", "", done.stdout))
    assert dumps[0] == dumps[1]
    archive = str(tmp_path / "archive")
    done = program(pg15, "pg_dump", "--format", "custom", "--file", archive, "--dbname", gate.dsn("root", "tools"))
    assert done.returncode == 0, done.stderr
    done = program(pg15, "pg_restore", "--no-owner", "--no-privileges", "--dbname", gate.dsn("root", "tools2"), archive)
    assert done.returncode == 0, done.stderr
    with gate.connect("root", "tools2") as client:
        assert client.execute("SELECT count(*), count(DISTINCT email) FROM people").fetchone() == (50, 50)


def test_a_table_without_masked_columns_can_be_dumped_by_who_sees_masks(
    place: tuple[str, GateProcess], pg15: EmbeddedPostgres
) -> None:
    dsn, gate = place
    dumps = []
    for target in (dsn, gate.dsn("ann", "tools")):
        done = program(
            pg15,
            "pg_dump",
            "--table",
            "things",
            "--table",
            "orders",
            "--no-owner",
            "--no-privileges",
            "--dbname",
            target,
        )
        assert done.returncode == 0, done.stderr
        dumps.append(re.sub(r"(?m)^\\(un)?restrict .*$", "", done.stdout))
    assert dumps[0] == dumps[1]
    # A dump of a table with masked columns has the rows, with masks in them.
    direct, masked = (
        program(pg15, "pg_dump", "--table", "people", "--dbname", t) for t in (dsn, gate.dsn("ann", "tools"))
    )
    assert masked.returncode == 0, masked.stderr
    addresses = set(re.findall(r"[\w.+-]+@[\w.-]+", direct.stdout))
    assert addresses
    assert not any(address in masked.stdout for address in addresses)
    assert len(masked.stdout.splitlines()) == len(direct.stdout.splitlines())


@pytest.mark.parametrize(
    "mode", [*(pytest.param(m, marks=pytest.mark.slow) for m in ("simple", "extended")), "prepared"]
)
def test_pgbench_sets_itself_up_and_runs(mode: str, place: tuple[str, GateProcess], pg15: EmbeddedPostgres) -> None:
    _, gate = place
    target = gate.dsn("root", "tools2")
    done = program(pg15, "pgbench", "--initialize", "--quiet", "--foreign-keys", target)
    assert done.returncode == 0, done.stderr
    done = program(pg15, "pgbench", "--protocol", mode, "--client", "4", "--transactions", "25", "--no-vacuum", target)
    assert done.returncode == 0, done.stderr
    assert "number of failed transactions: 0" in done.stdout
    assert "number of transactions actually processed: 100/100" in done.stdout
