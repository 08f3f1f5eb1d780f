"""The composition root: what is wrong is told all at once, and edited files are taken over whole or not at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate import app
from lockgate.app import evidence
from lockgate.config.build import load_settings
from lockgate.config.settings import Settings
from lockgate.errors import ConfigError, CredentialRejectedError
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database


@pytest.fixture(scope="module")
def made(pg15: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    dsn = create_database(pg15, "appfiles", "CREATE TABLE people(id int PRIMARY KEY, email text)")
    yield GateProcess(tmp_path_factory.mktemp("app") / "gate", {"shop": (dsn, "development")}).init()
    drop_database(pg15, "appfiles")


@pytest.fixture
def settings(made: GateProcess) -> Iterator[Settings]:
    """The settings of a gate that was just made; every file but those of its log, which only grows, is put back afterwards."""

    def files() -> list[Path]:
        return [
            path
            for path in made.folder.rglob("*")
            if path.is_file() and "log" not in path.relative_to(made.folder).parts
        ]

    kept = {path: path.read_bytes() for path in files()}
    yield load_settings(made.config, environment={})
    for path in files():
        if path not in kept:
            path.unlink()
    for path, data in kept.items():
        path.write_bytes(data)


def change(path: Path, text: str) -> None:
    path.write_text(text)
    before = path.stat()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 5_000_000_000))


def test_problems_of_every_file_are_told_at_once(settings: Settings) -> None:
    settings.files.principals.write_text('[[principal]]\nname = "x"\nkind = "robot"\n')
    settings.files.catalog.write_text("nonsense = [\n")
    (settings.files.policies / "x.cedar").write_text("permit (principal, action, resource)")
    with pytest.raises(ConfigError) as caught:
        app.read_documents(settings)
    for name in ("principals.toml", settings.files.catalog.name, "x.cedar"):
        assert any(name in problem for problem in caught.value.problems), name


def test_a_folder_without_policies_is_a_problem(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no policy"):
        app.read_policies(tmp_path)


@pytest.mark.parametrize(
    ("mode", "text"), [(0o644, "ab" * 32), (0o600, "ab" * 31), (0o600, "not hexadecimal"), (0o600, "")]
)
def test_a_key_that_others_may_read_or_that_is_none_is_refused(tmp_path: Path, mode: int, text: str) -> None:
    path = tmp_path / "x.key"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        evidence.key_bytes(path)
    assert text == "" or text not in str(caught.value)


def test_edited_files_are_taken_over_and_a_broken_one_changes_nothing(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        application = app.Application(settings)
        try:
            assert not application.reload_if_changed()
            revision = application.documents.policies.revision
            change(settings.files.policies / "x.cedar", '@id("x") @reason("x") forbid (principal, action, resource);')
            assert application.reload_if_changed()
            taken = application.documents
            assert taken.policies.revision != revision
            change(settings.files.principals, "broken = [\n")
            assert not application.reload_if_changed()
            assert application.documents is taken
            assert "reload-refused" in capsys.readouterr().err
            assert 'lockgate_reloads_total{result="refused"} 1' in application.metrics.text()
        finally:
            application.close()

    asyncio.run(main())


def test_a_file_that_is_being_written_is_taken_only_when_it_has_settled(settings: Settings) -> None:
    async def main() -> None:
        application = app.Application(settings)
        try:
            people = settings.files.principals.read_text()
            assert not application.reload_if_settled()
            change(settings.files.principals, "")
            assert not application.reload_if_settled()
            assert application.documents.principals
            change(settings.files.principals, people + "# more\n")
            assert not application.reload_if_settled()
            assert application.documents.principals
            assert application.reload_if_settled()
            assert not application.reload_if_settled()
            change(app.revoked_path(settings), "0123456789abcdef\n")
            assert application.reload_if_settled()
        finally:
            application.close()

    asyncio.run(main())


def test_a_revocation_is_taken_over(settings: Settings) -> None:
    async def main() -> None:
        application = app.Application(settings)
        try:
            change(app.revoked_path(settings), "0123456789abcdef\n")
            assert application.reload_if_changed()
            assert application.documents.revoked == frozenset({"0123456789abcdef"})
        finally:
            application.close()

    asyncio.run(main())


def test_an_unknown_command_of_the_control_socket_is_refused(settings: Settings) -> None:
    async def main() -> None:
        application = app.Application(settings)
        try:
            assert application.operator.operate({"op": "request-list"}) == []
            with pytest.raises(CredentialRejectedError):
                application.operator.operate({"op": "reboot"})
        finally:
            application.close()

    asyncio.run(main())
