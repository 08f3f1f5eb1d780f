"""`lockgate token`: issue a short-lived credential, or revoke one."""

from __future__ import annotations

import argparse
import os
import re
import secrets
from datetime import UTC, datetime, timedelta

from lockgate import app
from lockgate.app import evidence
from lockgate.cli.common import add_config, say, settings_of
from lockgate.config.settings import Settings
from lockgate.errors import ConfigError
from lockgate.identity.tokens import TTL_MAX, issue
from lockgate.model.identity import Principal

EPILOG = """examples:
  lockgate token ann --config gate/lockgate.toml --ttl 8h
  lockgate token report-bot --config gate/lockgate.toml --database shop --purpose training --run run-17
  lockgate token copilot --config gate/lockgate.toml --on-behalf-of ann
  lockgate token --revoke 5bb9c1d2e3f4a5b6 --config gate/lockgate.toml

Prints one line, the credential: the password for PostgreSQL user PRINCIPAL. Its id stands in every ledger entry of its sessions.
"""
UNITS = {"s": 1, "m": 60, "h": 3600}


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("token", help="issue or revoke a credential", epilog=EPILOG,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    add_config(parser)
    parser.add_argument("principal", nargs="?", help="who will sign in, as principals.toml names them")
    parser.add_argument("--ttl", default="1h", help="how long it is good for: 30m, 8h; at most 12h (default: 1h)")
    parser.add_argument(
        "--database", action="append", default=[], metavar="NAME", help="good for this database only; may be repeated"
    )
    parser.add_argument("--purpose", help="why; policies and records see it, and pseudonyms differ by it")
    parser.add_argument("--run", dest="run_id", help="identifier of the run it belongs to")
    parser.add_argument("--on-behalf-of", metavar="PERSON", help="the person an agent or service acts for")
    parser.add_argument("--revoke", metavar="ID", help="revoke the credential with this id instead")
    parser.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """Issue, or revoke."""
    settings = settings_of(options)
    if options.revoke:
        revoke(settings, options.revoke)
        return 0
    if not options.principal:
        raise ConfigError("token: name a principal, or --revoke ID")
    say(issue_token(
        settings, options.principal, ttl=duration(options.ttl), databases=options.database, purpose=options.purpose, run=options.run_id,
        on_behalf_of=options.on_behalf_of,
    ))  # fmt: skip
    return 0


def issue_token(settings: Settings, name: str, *, ttl: timedelta, databases: list[str], purpose: str | None = None, run: str | None = None,
                on_behalf_of: str | None = None) -> str:  # fmt: skip
    """A credential for a known principal.

    Raises:
        ConfigError: unknown principal or database, or too long a time.
    """
    principals = app.read_documents(settings).principals
    unknown = [d for d in databases if settings.database(d) is None]
    if unknown:
        raise ConfigError(f"--database: `{unknown[0]}` is not a database of this gate")
    if not timedelta(0) < ttl <= TTL_MAX:
        raise ConfigError("--ttl: a credential lives at most 12h")
    now = datetime.now(UTC).replace(microsecond=0)
    return issue(
        evidence.key_bytes(settings.files.keys / "token.key"), token_id=secrets.token_hex(8), principal=_known(principals, name), issued_at=now,
        expires_at=now + ttl, databases=databases, purpose=purpose, run=run,
        on_behalf_of=_known(principals, on_behalf_of) if on_behalf_of else None,
    )  # fmt: skip


def revoke(settings: Settings, token_id: str) -> None:
    """Add an id to the list of revoked credentials; a running gate ends its sessions within seconds."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{8,64}", token_id):
        raise ConfigError("--revoke: not the id of a credential; `lockgate log search` shows ids as `token`")
    handle = os.open(app.revoked_path(settings), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, f"{token_id}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def _known(principals: dict[str, Principal], name: str) -> Principal:
    if name not in principals:
        raise ConfigError(f"`{name}` is not a principal; add it to principals.toml")
    if principals[name].disabled:
        raise ConfigError(f"`{name}` is disabled in principals.toml")
    return principals[name]


def duration(text: str) -> timedelta:
    """`90s`, `30m`, `8h`.

    Raises:
        ConfigError: not a duration.
    """
    match = re.fullmatch(r"([0-9]{1,6})([smh])", text)
    if not match:
        raise ConfigError(f"--ttl: `{text}` is not a duration such as 30m or 8h")
    return timedelta(seconds=int(match.group(1)) * UNITS[match.group(2)])
