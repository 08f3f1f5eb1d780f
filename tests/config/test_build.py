"""lockgate.toml: all problems at once, with line and remedy; secrets that do not print."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from lockgate.config.build import load_settings, settings_from
from lockgate.config.schema import DATABASE, SECTIONS
from lockgate.config.secret import Secret, resolve
from lockgate.config.settings import Settings
from lockgate.config.templates import DatabaseTemplate, render_reference, render_settings
from lockgate.errors import ConfigError

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"
GOOD = """\
[gateway]
name = "gate-1"
listen = "127.0.0.1:6432"
cleartext_on_loopback = true

[[database]]
name = "shop"
environment = "production"
session_role = "lockgate_session"
session_password = "env:SESSION"
analysis_role = "lockgate_analysis"
analysis_password = "file:keys/analysis"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    password = tmp_path / "keys" / "analysis"
    password.write_text("geheim\n")
    password.chmod(0o600)
    return tmp_path


def load(folder: Path, text: str) -> Settings:
    return settings_from(text, path=folder / "lockgate.toml", environment={"SESSION": "hush"})


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return [problem.removeprefix(str(folder / "lockgate.toml")) for problem in caught.value.problems]


def test_a_short_file_gets_safe_defaults_and_absolute_paths(folder: Path) -> None:
    settings = load(folder, GOOD)
    (shop,) = settings.databases

    assert settings.limits.statement_bytes_max == 64 * 1024 * 1024
    assert (settings.limits.hold_seconds, settings.limits.bounded_rows) == (600, 1000)
    assert settings.files.policies == folder / "policies"
    assert settings.gateway.metrics_listen is None
    assert (shop.host, shop.port, shop.dbname, shop.sslmode) == ("127.0.0.1", 5432, "shop", "disable")
    assert shop.session_password == Secret("hush")
    assert shop.analysis_password == Secret("geheim")
    assert settings.database("shop") is shop
    assert settings.database("other") is None


def test_every_problem_is_reported_at_once_with_its_line(folder: Path) -> None:
    text = """\
[gateway]
nam = "x"
listen = "0.0.0.0:6432"
metrics_listen = "10.0.0.1:9000"
[limits]
hold_secondz = 3
bounded_rows = "many"
idle_seconds = -1
[masking]
epoch = true
[[database]]
name = "a"
environment = "prod"
port = 99999
session_role = "same"
analysis_role = "same"
session_password = "plain"
[[database]]
name = "a"
environment = "staging"
host = "db.example"
sslmode = "disable"
session_role = "s"
session_password = "env:MISSING"
analysis_password = "file:keys/none"
[[databse]]
"""
    found = problems(folder, text)

    starts = [
        ":1: `gateway` lacks `name`",
        ":2: unknown key `nam` in `gateway`; did you mean `name`?",
        ":3: `listen` is not loopback",
        ":4: `metrics_listen` must be a loopback address",
        ":6: unknown key `hold_secondz` in `limits`; did you mean `hold_seconds`?",
        ":7: `bounded_rows` must be a whole number",
        ":8: `idle_seconds` must be between 0 and 604800 seconds",
        ":10: `epoch` must be a whole number",
        ":13: `environment` must be one of",
        ":14: `port` must be between 1 and 65535",
        ":16: `analysis_role` must differ",
        ":17: `session_password` is not a reference to a secret",
        ":18: `database` lacks `analysis_role`",
        ":19: the database name `a` is used twice",
        ":22: `sslmode` `disable` would send data in clear",
        ":24: `session_password`: environment variable `MISSING` is not set",
        ":25: `analysis_password`: secret file `keys/none` cannot be read",
        ":26: unknown section `databse`; did you mean `database`?",
    ]
    assert len(found) == len(starts)
    assert [p for p, start in zip(found, starts, strict=True) if not p.startswith(start)] == []


def test_a_gate_without_tls_must_say_so_even_on_loopback(folder: Path) -> None:
    (found,) = problems(folder, GOOD.replace("cleartext_on_loopback = true\n", ""))

    assert "cleartext_on_loopback = true" in found


def test_a_certificate_needs_its_key_and_both_must_exist(folder: Path) -> None:
    found = problems(folder, GOOD.replace("cleartext_on_loopback = true", 'tls_certificate = "no.pem"'))

    assert any("add `tls_key`" in problem for problem in found)
    assert any("does not exist" in problem for problem in found)


@pytest.mark.parametrize(
    "listen", ["", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", ":6432", "::1:6432", "[x]:1", "a b:1"]
)
def test_an_address_must_be_host_and_port(folder: Path, listen: str) -> None:
    assert problems(folder, GOOD.replace("127.0.0.1:6432", listen))


def test_ipv6_addresses_have_brackets(folder: Path) -> None:
    assert str(load(folder, GOOD.replace("127.0.0.1:6432", "[::1]:6432")).gateway.listen) == "[::1]:6432"


def test_a_file_without_databases_or_with_broken_toml_is_a_configuration_error(folder: Path) -> None:
    assert problems(folder, GOOD.split("[[database]]", maxsplit=1)[0])[0].startswith(":1: no database is configured")
    assert problems(folder, '[gateway]\nname = "x\n')[0].startswith(":2: this is not TOML")
    with pytest.raises(ConfigError):
        load_settings(folder / "absent.toml", environment={})


def test_a_database_elsewhere_is_verified_unless_told_otherwise(folder: Path) -> None:
    remote = GOOD.replace('name = "shop"', 'name = "shop"\nhost = "db.example"')

    assert load(folder, remote).databases[0].sslmode == "verify-full"
    assert load(folder, remote + 'sslmode = "require"\n').databases[0].sslmode == "require"


def test_a_secret_file_that_others_may_read_is_refused(folder: Path) -> None:
    (folder / "keys" / "analysis").chmod(0o644)
    (found,) = problems(folder, GOOD)

    assert "chmod 600" in found
    assert "geheim" not in found


@pytest.mark.parametrize(
    "reference", ["", "geheim", "file:", "env:", "env:A B", "vault:x", "file:keys", "file:empty", "file:big"]
)
def test_what_is_no_secret_is_explained_without_repeating_it(folder: Path, reference: str) -> None:
    for name, content in (("empty", "\n"), ("big", "x" * 5000)):
        (folder / name).write_text(content)
        (folder / name).chmod(0o600)
    found = resolve(reference, folder=folder, environment={})

    assert isinstance(found, str)
    assert "geheim" not in found


def test_a_secret_does_not_print_compare_loosely_or_travel() -> None:
    secret = Secret("geheim")

    assert "geheim" not in f"{secret} {secret!r} {secret!s} {[secret]}"
    assert secret.reveal() == "geheim"
    assert secret != "geheim"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        hash(secret)


def test_settings_do_not_print_their_secrets(folder: Path) -> None:
    assert "hush" not in repr(load(folder, GOOD))


def test_the_template_of_init_loads(folder: Path) -> None:
    text = render_settings(
        name="gate",
        listen="127.0.0.1:0",
        databases=[
            DatabaseTemplate(
                name="a", environment="staging", host="/run/postgresql", port=5432, dbname="x", sslmode="disable",
                session_role="s", session_password="env:SESSION", analysis_role="a", analysis_password="env:SESSION",
            ),
            DatabaseTemplate(
                name="b", environment="development", host="db.example", port=1, dbname="y", sslmode="require",
                session_role="s", session_password="env:SESSION", analysis_role="a", analysis_password="env:SESSION",
                unsafe_superuser=True,
            ),
        ],
    )  # fmt: skip
    settings = load(folder, text)

    assert [d.unsafe_superuser for d in settings.databases] == [False, True]
    assert all(f"{key.name} =" in text for keys in SECTIONS.values() for key in keys)


def test_the_reference_page_is_what_the_declarations_say() -> None:
    assert render_reference() in DOCUMENT.read_text(encoding="utf-8")
    assert all(key.sentence.endswith(".") for key in (*DATABASE, *(k for keys in SECTIONS.values() for k in keys)))
