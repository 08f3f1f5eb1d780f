"""`lockgate export` as a process: every event arrives once it is sealed, whatever is killed when."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.cli.main import main
from lockgate.ledger.entry import decode
from lockgate.storage.ledger_reader import entries
from lockgate.storage.port import RealFiles
from support.record import Record

CONFIG = """
[gateway]
name = "gw"
cleartext_on_loopback = true

[[export]]
name = "lake"
url = "file:out/events.jsonl"
from_start = true

[[export]]
name = "siem"
url = "syslog+tcp://127.0.0.1:{port}"
form = "cef"
from_start = true

[[database]]
name = "shop"
environment = "staging"
session_role = "a"
analysis_role = "b"
"""


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    made = Record(tmp_path / "log" / "gw-1")
    made.fill(900)
    yield made
    made.close()


def _indices(path: Path) -> list[int]:
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line)["metadata"]["sequence"] for line in lines]


def test_a_killed_exporter_goes_on_where_it_was_and_a_receiver_that_is_away_holds_up_no_other(
    record: Record, tmp_path: Path
) -> None:
    config = tmp_path / "lockgate.toml"
    config.write_text(CONFIG.format(port=9))  # nobody listens there
    events = tmp_path / "out/events.jsonl"
    for turn in range(3):
        process = subprocess.Popen(
            [sys.executable, "-m", "lockgate.cli.main", "export", "--config", str(config)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"ready": True, "exports": ["lake", "siem"]}
        deadline = time.monotonic() + 30
        while len(_indices(events)) <= turn * 20 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL if turn < 2 else signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == (-9 if turn < 2 else 0)
        record.fill(60)
    assert main(["export", "--once", "--config", str(config)]) == 3
    kinds = {index: decode(entry)["kind"] for index, entry in entries(str(record.folder), RealFiles())}
    assert set(_indices(events)) == {index for index, kind in kinds.items() if kind not in ("intent", "heartbeat")}
    cursor = json.loads((tmp_path / "exports/lake.json").read_text())
    assert cursor == {"gw/1": record.log.integrated}
    assert json.loads((tmp_path / "exports/siem.json").read_text()) == {}


def test_what_is_wrong_with_a_receiver_is_told_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "lockgate.toml"
    wrong = {
        'url = "gopher://x"': "is no receiver",
        'url = "http://collector.example/hook"': "in clear",
        'url = "otlp+http://collector.example:4318"': "in clear",
        'url = "https://user@collector.example/"': "is no receiver",
        'url = "https://collector.example/"': "needs a `secret`",
        'url = "parquet:out"': "set `url` in `[index]`",
        'url = "file:x"\nsample = 2': "between 0 and 1",
        'url = "file:x"\n[[export]]\nname = "one"\nurl = "file:y"': "used twice",
        'url = "file:x"\nsecret = "env:NOWHERE"': "`secret`",
    }
    for text, sentence in wrong.items():
        config.write_text(
            CONFIG.split("[[export]]", maxsplit=1)[0]
            + f'[[export]]\nname = "one"\n{text}\n[[database]]'
            + CONFIG.split("[[database]]")[1]
        )
        assert main(["export", "--config", str(config)]) == 2
        assert sentence in capsys.readouterr().err, text
    config.write_text(CONFIG.split("[[export]]", maxsplit=1)[0] + "[[database]]" + CONFIG.split("[[database]]")[1])
    assert main(["export", "--config", str(config)]) == 2
    assert "add an `[[export]]`" in capsys.readouterr().err
