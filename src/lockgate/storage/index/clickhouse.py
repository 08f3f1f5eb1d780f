"""The index on a ClickHouse server, over its HTTP interface.

For: the same statements as the embedded engine's, to a server or cluster that somebody already runs.
Not for: setting a server up: database and user must exist, and the user may create tables in it.
Source: ClickHouse documentation, HTTP interface (parameters as `param_<name>`, settings in the address, errors by status and header).
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlencode, urlsplit

from lockgate.errors import ConfigError
from lockgate.storage.index.engines import SETTINGS, IndexUnavailableError, Parameters, Row, parameter, parsed

SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, from `clickhouse://user@host:port/database`; `clickhouses://` is the same with TLS."""

    host: str
    port: int
    user: str
    database: str
    tls: bool

    @classmethod
    def from_url(cls, url: str) -> Server:
        """The server that an address names.

        Raises:
            ConfigError: it is not one, or carries a password.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("clickhouse", "clickhouses") or not parts.hostname:
            raise ConfigError(
                "an index on a server is `clickhouse://user@host:8123/database`, or `clickhouses://` with TLS"
            )
        if parts.password is not None:
            raise ConfigError("the address of the index must not carry a password; set `password` in `[index]`")
        tls = parts.scheme == "clickhouses"
        database = unquote(parts.path.strip("/")) or "default"
        return cls(
            parts.hostname, parts.port or (8443 if tls else 8123), unquote(parts.username or "default"), database, tls
        )


class ClickHouseEngine:
    """ClickHouse somewhere else."""

    def __init__(self, server: Server, password: str = "", *, context: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._headers = {
            "X-ClickHouse-User": server.user,
            "X-ClickHouse-Key": password,
            "X-ClickHouse-Database": server.database,
        }
        self._context = context
        self._link: http.client.HTTPConnection | None = None

    def run(self, sql: str) -> None:
        """A statement without rows."""
        self._post({}, sql.encode())

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """The rows of a question."""
        return parsed(self._ask(sql, "JSONEachRow", parameters or {}))

    def insert(self, table: str, stored: bytes, *, token: str) -> None:
        """Store one block."""
        settings = {"insert_deduplication_token": token} if token else {}
        self._post({"query": f"INSERT INTO {table} FORMAT Native", **settings}, stored)

    def export(self, sql: str, parameters: Parameters, kind: str, path: Path) -> None:
        """Write rows to a file here."""
        path.write_bytes(self._ask(sql, kind, parameters))

    def close(self) -> None:
        """Let go of the connection."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _ask(self, sql: str, kind: str, parameters: Parameters) -> bytes:
        asked = {f"param_{name}": parameter(value) for name, value in parameters.items()}
        return self._post({"default_format": kind, **asked}, sql.encode())

    def _post(self, address: Mapping[str, str], body: bytes) -> bytes:
        """One request; once more when the server had closed a connection that was idle."""
        path = "/?" + urlencode({**SETTINGS, "wait_end_of_query": "1", **address})
        while True:
            used_before = self._link is not None
            try:
                self._link = self._link or self._connected()
                self._link.request("POST", path, body, self._headers)
                answer = self._link.getresponse()
                content = answer.read()
                break
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if not used_before:
                    raise IndexUnavailableError(
                        f"the server of the index does not answer: {type(error).__name__}"
                    ) from error
        if answer.status != 200:
            code = answer.getheader("X-ClickHouse-Exception-Code") or f"status {answer.status}"
            with suppress(OSError):
                self.close()
            raise IndexUnavailableError(f"the server of the index refuses: Code: {code}")
        return content

    def _connected(self) -> http.client.HTTPConnection:
        if self._server.tls:
            context = self._context or ssl.create_default_context()
            return http.client.HTTPSConnection(self._server.host, self._server.port, timeout=SECONDS, context=context)
        return http.client.HTTPConnection(self._server.host, self._server.port, timeout=SECONDS)
