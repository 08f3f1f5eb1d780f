"""Addresses of PostgreSQL databases as people write them: URL or `key=value`.

For: `lockgate init`. Not for: every libpq option; an option that is not understood is a problem, never ignored.
Source: PostgreSQL documentation 34.1.1 (connection strings).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from lockgate.config.load import is_loopback, suggestion
from lockgate.config.secret import Secret
from lockgate.errors import ConfigError

KEYS = ("host", "hostaddr", "port", "user", "password", "dbname", "sslmode", "sslrootcert")
_HARMLESS = ("connect_timeout", "application_name", "target_session_attrs", "client_encoding")
_MODES = {"disable": "disable", "require": "require", "verify-ca": "verify-ca", "verify-full": "verify-full"}
_PAIR = re.compile(r"\s*([A-Za-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)", re.DOTALL)
_OPTION = re.compile(r"[a-z_]{1,40}")
_DSN_LENGTH_MAX = 4096


@dataclass(frozen=True, slots=True)
class Dsn:
    """Where a database is and who asks; `password` and `sslrootcert` may be absent."""

    host: str
    port: int
    user: str
    dbname: str
    sslmode: str
    password: Secret | None = None
    sslrootcert: str | None = None


def parse_dsn(text: str) -> Dsn:
    """Read `postgresql://...` or `host=... dbname=...`.

    Defaults as in libpq where they are safe: port 5432, database named as the user; without a mode, TLS is off on loopback and
    verified elsewhere; `prefer` and `allow` become `disable` on loopback and `require` elsewhere.

    Raises:
        ConfigError: with every problem; never with the password.
    """
    if len(text) > _DSN_LENGTH_MAX:
        raise ConfigError("the database address is too long")
    problems: list[str] = []
    is_url = text.startswith(("postgresql://", "postgres://"))
    values = _from_url(text, problems) if is_url else _from_pairs(text, problems)
    for key in sorted(set(values) - {*KEYS, *_HARMLESS}):
        shown = f"option `{key}`" if _OPTION.fullmatch(key) else "option"
        problems.append(f"unknown {shown} in the database address{suggestion(key, KEYS)}")
    host = values.get("hostaddr") or values.get("host") or "127.0.0.1"
    if "," in host or "," in values.get("port", ""):
        problems.append("a list of hosts in the database address is not supported; name one host")
    port = values.get("port") or "5432"
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65_535:
        problems.append("the port in the database address must be a number from 1 to 65535")
    user = values.get("user", "")
    if not user:
        problems.append("the database address names no user; write `postgresql://user@host/database`")
    mode = values.get("sslmode", "")
    if not mode:
        mode = "disable" if is_loopback(host) else "verify-full"
    elif mode in {"prefer", "allow"}:
        mode = "disable" if is_loopback(host) else "require"
    elif mode not in _MODES:
        problems.append(f"unknown sslmode in the database address{suggestion(mode, _MODES)}")
    if problems:
        raise ConfigError(problems)
    password = values.get("password")
    return Dsn(
        host=host,
        port=int(port),
        user=user,
        dbname=values.get("dbname") or user,
        sslmode=mode,
        password=Secret(password) if password else None,
        sslrootcert=values.get("sslrootcert") or None,
    )


def _from_url(text: str, problems: list[str]) -> Mapping[str, str]:
    try:
        parts = urlsplit(text)
        port = str(parts.port) if parts.port is not None else ""
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        problems.append("the database address is not a URL; write `postgresql://user@host:port/database`")
        return {"user": "unknown"}
    host = parts.netloc.rpartition("@")[2]
    host = host.partition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]
    values = {
        "host": unquote(host),
        "port": port,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "dbname": unquote(parts.path.removeprefix("/")),
    }
    return {**{k: v for k, v in values.items() if v}, **dict(query)}


def _from_pairs(text: str, problems: list[str]) -> Mapping[str, str]:
    values: dict[str, str] = {}
    position = 0
    stripped = text.rstrip()
    while position < len(stripped):
        pair = _PAIR.match(stripped, position)
        if pair is None:
            problems.append("the database address is neither a `postgresql://` URL nor a list of `key=value`")
            return {"user": "unknown"}
        raw = pair.group(2) if pair.group(2) is not None else pair.group(3)
        values[pair.group(1)] = re.sub(r"\\(.)", r"\1", raw, flags=re.DOTALL)
        position = pair.end()
    return values
