"""`lockgate log search` and `lockgate index` as people and programs meet them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.cli.main import main
from lockgate.control.questions import QUESTIONS
from lockgate.ledger.proof import LogProof
from lockgate.ledger.tree import leaf_hash, verify_inclusion
from support.entries import AWKWARD
from support.record import Record

CONFIG = """
[gateway]
name = "gw"
cleartext_on_loopback = true

[index]
url = "chdb://index"
days = 10000

[[database]]
name = "shop"
environment = "staging"
session_role = "a"
analysis_role = "b"
"""


class Place:
    """A folder with a configuration and a log, and the commands on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "lockgate.toml"
        self.config.write_text(CONFIG)
        self.record = Record(folder / "log" / "gw-1")
        (folder / "log" / "completeness.json").write_text("{}")
        (folder / "log" / "empty").mkdir()
        self.processes: list[subprocess.Popen[str]] = []

    def run(self, *arguments: str) -> int:
        return main([*arguments, "--config", str(self.config)])

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "lockgate.cli.main", *arguments, "--config", str(self.config)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def start_index(self, *arguments: str) -> subprocess.Popen[str]:
        process = self.command("index", *arguments)
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"]
        return process

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.record.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    made.record.fill(300)
    yield made
    made.close()


def test_without_a_running_index_the_log_is_read_and_says_so(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.run("log", "search", "readers", "--column", "customers.email", "--json") == 0
    printed = capsys.readouterr()
    assert {json.loads(line)["disposition"] for line in printed.out.splitlines()} == {"clear", "masked"}
    assert "the log itself was read" in printed.err


def test_a_running_index_gives_the_same_answers_without_a_word(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        ["statements", "--limit", "9"],
        ["readers", "--label", "person.email"],
        ["denials"],
        ["volume"],
        ["run", "--run", "run-7"],
    ]
    for question in asked:
        assert place.run("log", "search", *question) == 0
    read = capsys.readouterr()
    assert read.err.count("the log itself was read") == len(asked)
    place.start_index()
    assert (place.folder / "run/index.sock").stat().st_mode & 0o777 == 0o600
    assert (place.folder / "index").stat().st_mode & 0o777 == 0o700
    for question in asked:
        assert place.run("log", "search", *question) == 0
    answered = capsys.readouterr()
    assert answered.out == read.out
    assert "log itself" not in answered.err


def test_an_index_that_is_killed_or_deleted_loses_nothing(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    process = place.start_index()
    place.run("log", "search", "volume", "--json")
    first = capsys.readouterr().out
    process.send_signal(signal.SIGKILL)
    process.wait()
    process = place.start_index()
    place.run("log", "search", "volume", "--json")
    assert capsys.readouterr().out == first
    process.terminate()
    assert process.wait(20) == 0
    assert not (place.folder / "run/index.sock").exists()
    for path in sorted((place.folder / "index").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    place.start_index()
    place.run("log", "search", "volume", "--json")
    printed = capsys.readouterr()
    assert printed.out == first
    assert "log itself" not in printed.err


def test_a_second_indexer_of_the_same_folder_is_refused(place: Place) -> None:
    place.start_index()
    second = place.command("index", "--once")
    assert second.wait(30) == 3


def test_once_brings_the_index_up_to_date_and_ends(place: Place) -> None:
    process = place.command("index", "--once", "--rebuild")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out)["entries"] == place.record.log.integrated


def test_every_row_can_be_proven_offline(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    folder = place.folder / "proofs"
    assert place.run("log", "search", "denials", "--json", "--prove", str(folder)) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows
    for row in rows:
        stored = (folder / f"gw-1-{row['index']}.tlog-proof").read_bytes()
        entry = (folder / f"gw-1-{row['index']}.json").read_bytes()
        proof = LogProof.parse(stored)
        checkpoint = proof.checkpoint
        assert json.loads(entry)["rule"] == row["rule"]
        assert (proof.index, checkpoint.origin) == (row["index"], "gw/1")
        assert verify_inclusion(
            leaf=leaf_hash(entry), index=proof.index, size=checkpoint.size, proof=proof.path, root=checkpoint.root
        )
        assert len(stored) < 2048
    assert place.run("log", "show", "3", "--prove", str(folder)) == 0
    assert (folder / "gw-1-3.tlog-proof").exists()
    assert place.run("log", "show", "3", "--log", "gw/1") == 0
    assert place.run("log", "show", "99999") == 1


def test_people_read_a_table_with_numbers_to_the_right(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.run("log", "search", "readers", "--column", "email") == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "principal",
        "on",
        "behalf",
        "of",
        "disposition",
        "statements",
        "rows",
        "first",
        "last",
        "entry",
    ]
    for line in lines:
        assert "gw/1#" in line
        assert len(line) < 150
    end = head.index("statements") + len("statements")
    assert all(line[end - 1].isdigit() for line in lines)


def test_nothing_that_was_recorded_reaches_the_terminal_as_a_command(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    for turn in range(2):
        place.record.statement(shape=AWKWARD, principal="o\x1b[2Jr\u202e", tables=["\x9b31m"], run=f"awkward-{turn}")
    place.record.commit()
    for question in (
        ["text", "--text", "evil"],
        ["statements", "--text", "evil"],
        ["readers", "--column", "email"],
        ["tables"],
    ):
        assert place.run("log", "search", *question) == 0
        out = capsys.readouterr().out
        assert "\ufffd" in out or question[0] == "readers"
        assert all(line.isprintable() for line in out.split("\n"))


def test_entries_are_aligned_and_name_their_log(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.run("log", "search", "--limit", "40") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("gw/1#")]
    assert len(lines) == 40
    assert len({line.index("  2026-") for line in lines}) == 1
    assert len({re.search(r"  \w+/\w+  ", line).start() for line in lines}) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("indexed", [False, True])
def test_a_write_is_listed_with_the_rows_that_it_changed(
    place: Place, capsys: pytest.CaptureFixture[str], *, indexed: bool
) -> None:
    for rows in (0, 2):
        intent = place.record.statement(closed=False, statement="update", run="changed")
        place.record.log.append(
            {"kind": "outcome", "intent": intent, "status": "complete", "rows": rows, "affected": 7, "bytes": 1, "duration_us": 1}
        )  # fmt: skip
    place.record.commit()
    if indexed:
        place.start_index()
    assert place.run("log", "search", "--run", "changed") == 0
    first, second = [line for line in capsys.readouterr().out.splitlines() if line.startswith("gw/1#")]
    assert "  7 changed  " in first
    assert "  7 changed, 2 rows  " in second


@pytest.mark.parametrize("question", [name for name, question in QUESTIONS.items() if question.needs])
def test_a_question_that_needs_more_says_what(place: Place, capsys: pytest.CaptureFixture[str], question: str) -> None:
    assert place.run("log", "search", question) == 2
    assert f"needs --{QUESTIONS[question].needs[0]}" in capsys.readouterr().err


def test_a_cut_answer_says_so(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.run("log", "search", "--limit", "2", "--json") == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2
    assert "there is more than these 2" in printed.err


def test_an_index_without_its_extra_or_without_configuration_says_what_to_do(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "chdb.session", None)
    assert place.run("index", "--once") == 2
    assert "lockgate[index]" in capsys.readouterr().err
    place.config.write_text(CONFIG.replace('url = "chdb://index"', ""))
    assert place.run("index", "--once") == 2
    assert "set `url`" in capsys.readouterr().err


def test_the_process_of_a_gate_never_loads_the_engine() -> None:
    code = "import sys, lockgate.app, lockgate.app.search; print(any(name.split('.')[0] in ('chdb', 'pandas', 'pyarrow') for name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "False"


def test_a_statement_is_found_while_the_index_runs(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.start_index()
    for turn in range(3):
        place.record.statement(run=f"fresh-{turn}")
        place.record.commit(integrate=turn % 2 == 0)
        assert place.run("log", "search", "run", "--run", f"fresh-{turn}", "--json") == 0
        assert len(capsys.readouterr().out.splitlines()) == 1
        time.sleep(0.01)
