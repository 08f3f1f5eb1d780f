"""What docs/search.md and docs/reference/exports.md say can be typed, works; what they list is what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from lockgate.app.exports import receiver
from lockgate.cli.main import main
from lockgate.config.build import load_settings
from lockgate.control.questions import QUESTIONS
from lockgate.telemetry.receivers import Webhook
from support.record import Record
from support.tree import ROOT

SEARCH = (ROOT / "docs/search.md").read_text(encoding="utf-8")
EXPORTS = (ROOT / "docs/reference/exports.md").read_text(encoding="utf-8")
BASE = """
[gateway]
name = "gate"
cleartext_on_loopback = true

[[database]]
name = "shop"
environment = "production"
session_role = "a"
analysis_role = "b"
"""


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_every_command_of_the_page_on_search_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lockgate.toml").write_text(BASE)
    record = Record(tmp_path / "log" / "gate-1", origin="gate/1")
    record.fill(100)
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(line, comments=True) for block in _blocks(SEARCH, "sh") for line in block.splitlines()]
    assert len(commands) == 5
    for program, *arguments in commands:
        assert program == "lockgate"
        assert main(arguments) == 0, arguments
    assert len(list((tmp_path / "proofs").glob("*.tlog-proof"))) > 2
    capsys.readouterr()
    record.close()


def test_the_page_lists_every_question_and_what_it_needs() -> None:
    page, _, _ = SEARCH.partition("## References")
    rows = re.findall(r"^\| `(\w+)`[^|]*\| ([^|]*) \| ([^|]*)\|", page, re.MULTILINE)
    listed = {name: (sentence.strip(), re.findall(r"`--(\w+)`", needs)) for name, sentence, needs in rows}
    assert listed == {q.name: (q.sentence, list(q.needs)) for q in QUESTIONS.values()}


def test_the_lines_of_configuration_on_both_pages_are_taken(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    secret = tmp_path / "keys/alarms.secret"
    secret.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    secret.chmod(0o600)
    (tmp_path / "lockgate.toml").write_text(BASE + "\n".join(_blocks(SEARCH, "toml") + _blocks(EXPORTS, "toml")))
    settings = load_settings(tmp_path / "lockgate.toml", environment={})
    assert settings.index.folder == tmp_path / "index"
    assert [export.name for export in settings.exports] == ["siem", "alarms"]
    assert isinstance(receiver(settings.exports[1]), Webhook)


def test_every_form_of_address_in_the_table_is_taken(tmp_path: Path) -> None:
    listed = re.findall(r"`([a-z]+[+a-z]*:[^`]*)`", "\n".join(re.findall(r"^\| (`.*?) \|", EXPORTS, re.MULTILINE)))
    urls = [re.sub(r"<\w+>", "x", url).replace("port", "514") for url in listed]
    urls = [url + "host:514" if url.endswith("//") else url for url in urls]
    assert len(urls) == 8
    for url in urls:
        text = f'[index]\nurl = "chdb://index"\n[[export]]\nname = "one"\nurl = "{url}"\nsecret = "env:SECRET"\n'
        (tmp_path / "lockgate.toml").write_text(BASE + text)
        (export,) = load_settings(tmp_path / "lockgate.toml", environment={"SECRET": "whsec_x"}).exports
        assert export.url.partition(":")[0] == url.partition(":")[0]
