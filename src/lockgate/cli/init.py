"""`lockgate init`: make a gate's folder, or add a database to one.

For: configuration, keys, starter policies, a first catalog by names and lineage, and the SQL for the roles the gate needs.
Not for: changing the database without being asked: only `--create-roles` applies the SQL.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lockgate.app.first_catalog import first_catalog
from lockgate.cli import roles
from lockgate.cli.common import say
from lockgate.cli.x509 import self_signed
from lockgate.config.catalog_file import parse_catalog, replace_section
from lockgate.config.dsn import Dsn, parse_dsn
from lockgate.config.load import NAME
from lockgate.config.schema import ENVIRONMENTS
from lockgate.config.templates import DatabaseTemplate, render_database, render_principals, render_settings
from lockgate.errors import ConfigError, LockgateError
from lockgate.ledger.note import Ed25519Signer
from lockgate.policy.starter import STARTER
from lockgate.transport.pgclient import PgClient, ServerRejectedError, Target

EPILOG = """examples:
  lockgate init --dir gate --database shop=postgresql://postgres@127.0.0.1:5432/shop --environment production --create-roles
  lockgate init --dir gate --database shop_dev=postgresql://postgres@127.0.0.1:5432/shop_dev --environment development --create-roles
  lockgate init --dir gate --database shop=postgresql://app@db/shop --role app

The DSN is used now and not stored. The roles' passwords are made here and kept in DIR/keys; the SQL carries only their SCRAM verifiers.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("init", help="make a gate, or add a database to it", epilog=EPILOG,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--dir", type=Path, required=True, help="the gate's folder")
    parser.add_argument("--database", required=True, metavar="NAME=DSN", help="name clients use, and where it is")
    parser.add_argument("--environment", choices=ENVIRONMENTS, default="production", help="default: production")
    parser.add_argument(
        "--create-roles", action="store_true", help="apply the SQL for the roles instead of only printing it"
    )
    parser.add_argument("--role", metavar="EXISTING", help="use this existing role for sessions")
    parser.add_argument("--name", default="gate", help="name of the gate when the folder is new (default: gate)")
    parser.set_defaults(handler=run)


@dataclass(frozen=True)
class Plan:
    """What one `init` is going to do."""

    folder: Path
    name: str
    dsn: Dsn
    environment: str
    names: roles.RoleNames
    gate: str
    passwords: dict[str, str]


def run(options: argparse.Namespace) -> int:
    """Make or extend a gate's folder."""
    name, equals, text = options.database.partition("=")
    if not equals or not NAME.fullmatch(name):
        raise ConfigError("--database: write NAME=DSN, such as shop=postgresql://postgres@127.0.0.1/shop")
    if not NAME.fullmatch(options.name):
        raise ConfigError("--name: letters, digits, `_`, `.` and `-`")
    dsn = parse_dsn(text)
    folder = options.dir
    try:
        # Before anything is made in the database: its roles' passwords must have a place.
        (folder / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
        secret_file(folder / "keys" / ".writable", "", replace=True)
        (folder / "keys" / ".writable").unlink()
    except OSError as error:
        raise ConfigError(f"--dir: {folder} cannot be written: {error.strerror}") from error
    settings_file = folder / "lockgate.toml"
    if settings_file.exists() and f'name = "{name}"' in settings_file.read_text().split("[[database]]", 1)[-1]:
        raise ConfigError(f"{settings_file}: has a database `{name}` already")
    names = roles.RoleNames.fresh(name, existing=options.role)
    passwords = {
        names.masked: secrets.token_urlsafe(24),
        names.clear: secrets.token_urlsafe(24),
        names.analysis: secrets.token_urlsafe(24),
    }
    if options.role:
        own = dsn.password.reveal() if dsn.password and dsn.user == options.role else ""
        passwords[options.role] = own or os.environ.get("LOCKGATE_ROLE_PASSWORD", "")
    plan = Plan(folder, name, dsn, options.environment, names, options.name, passwords)
    sql = asyncio.run(_with_database(plan, apply=options.create_roles))
    say(
        f"-- roles for `{name}`"
        + (" (applied)" if options.create_roles else " (apply this as an administrator of the database)")
    )
    for statement in sql:
        say(statement + ";")
    first = ""
    if not options.create_roles:
        script = folder / "keys" / f"{name}.roles.sql"
        secret_file(script, "\n".join(f"{statement};" for statement in sql), replace=True)
        first = f"apply {script} (it holds the roles' passwords), for example with psql -f, and then: "
    say(f"-- wrote {settings_file}; next: {first}lockgate serve --config {settings_file}")
    return 0


async def _with_database(plan: Plan, *, apply: bool) -> list[str]:
    """Talk to the database once: roles and catalog; then write the files."""
    dsn = plan.dsn
    admin = Target(
        dsn.host,
        dsn.port,
        dsn.dbname,
        dsn.user,
        dsn.password.reveal() if dsn.password else "",
        dsn.sslmode,
        dsn.sslrootcert,
    )
    try:
        client = await PgClient.open(admin, {"application_name": "lockgate init"})
        try:
            sql = await roles.role_statements(client, plan.names, plan.passwords, environment=plan.environment)
            if apply:
                for statement in sql:
                    await client.query(statement)
        finally:
            client.close()
        section = await first_catalog(admin, database=plan.name, environment=plan.environment)
    except ServerRejectedError as error:
        raise ConfigError(f"--database: the database answered {error.sqlstate}: {error.fields.get('M', '')}") from error
    except (OSError, TimeoutError, LockgateError) as error:
        raise ConfigError(f"--database: cannot be used: {error}") from error
    write_files(plan, section)
    return sql


def write_files(plan: Plan, section: str) -> None:
    """Everything of the folder; existing keys, policies and labels of other databases stay."""
    folder = plan.folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = folder / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    for name in ("pseudonym.key", "token.key", "text.key", "person.key"):
        secret_file(keys / name, secrets.token_hex(32), replace=False)
    settings_file = folder / "lockgate.toml"
    if not (keys / "log.key").exists():
        signer = Ed25519Signer(f"{plan.gate}/1", secrets.token_bytes(32))
        secret_file(keys / "log.key", signer.skey, replace=False)
        (keys / "log.pub").write_text(signer.vkey + "\n")
        (keys / "org.pub").write_text(signer.renamed(f"{plan.gate}/org").vkey + "\n")
    if not (keys / "tls.key").exists():
        certificate, key = self_signed("localhost", now=datetime.now(UTC), lasts=timedelta(days=825))
        secret_file(keys / "tls.key", key, replace=False)
        (keys / "tls.crt").write_text(certificate)
    template = _database_template(plan, keys)
    if not settings_file.exists():
        settings_file.write_text(render_settings(
            name=plan.gate, listen="127.0.0.1:6432", databases=[template], tls=("keys/tls.crt", "keys/tls.key"), metrics_listen="127.0.0.1:0",
            cleartext_on_loopback=True,
        ))  # fmt: skip
    else:
        settings_file.write_text(settings_file.read_text().rstrip("\n") + "\n\n" + render_database(template) + "\n")
    policies = folder / "policies"
    policies.mkdir(exist_ok=True)
    if not any(policies.glob("*.cedar")):
        for name, text in STARTER.items():
            (policies / name).write_text(text)
    principals = folder / "principals.toml"
    if not principals.exists():
        principals.write_text(render_principals([]))
    catalog = folder / "catalog.toml"
    old = (
        catalog.read_text()
        if catalog.exists()
        else "# What each column holds. Edit labels here or with `lockgate catalog label`.\n"
    )
    new = replace_section(old, plan.name, section)
    parse_catalog(new, file=str(catalog))
    catalog.write_text(new)


def _database_template(plan: Plan, keys: Path) -> DatabaseTemplate:
    names = plan.names
    files = {}
    for kind, role in (("session", names.masked), ("clear", names.clear), ("analysis", names.analysis)):
        files[kind] = f"keys/{plan.name}.{kind}.password"
        secret_file(keys.parent / files[kind], plan.passwords[role], replace=True)
    dsn = plan.dsn
    return DatabaseTemplate(
        name=plan.name, environment=plan.environment, host=dsn.host, port=dsn.port, dbname=dsn.dbname, sslmode=dsn.sslmode,
        session_role=names.masked, session_password=f"file:{files['session']}", clear_role=names.clear,
        clear_password=f"file:{files['clear']}", analysis_role=names.analysis, analysis_password=f"file:{files['analysis']}",
        sslrootcert=dsn.sslrootcert,
    )  # fmt: skip


def secret_file(path: Path, text: str, *, replace: bool) -> None:
    """Write a file that only its owner may read, from its first byte on."""
    if path.exists() and not replace:
        return
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.fchmod(handle, 0o600)
        os.write(handle, text.encode() + b"\n")
    finally:
        os.close(handle)
