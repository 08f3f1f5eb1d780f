"""ClickHouse's HTTP interface, as far as a gate uses it, in front of the embedded engine.

For: the dialogue with a server where none can be had: statements, parameters, settings and blocks arrive as they would there.
Not for: what a real server does beyond its engine (users, replication, its own limits).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from lockgate.storage.index.engines import SETTINGS, ChdbEngine


@dataclass
class Seen:
    """What reached the server."""

    statements: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    users: set[str] = field(default_factory=set)
    drop_after: int = -1
    """After so many requests one connection is closed without an answer; -1 never."""


@contextmanager
def clickhouse(engine: ChdbEngine, folder: Path, *, password: str = "") -> Iterator[tuple[str, Seen]]:
    """A server's address, and what it saw."""
    seen = Seen()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.users.add(self.headers["X-ClickHouse-User"])
            seen.drop_after -= 1
            if seen.drop_after == 0:
                self.close_connection = True
                return
            if self.headers["X-ClickHouse-Key"] != password:
                self._answer(403, b"Code: 516. DB::Exception: secret text (AUTHENTICATION_FAILED)", "516")
                return
            if any(asked.get(name) != value for name, value in SETTINGS.items()):
                seen.problems.append("settings are missing")
            try:
                self._answer(200, self._done(asked, body))
            except RuntimeError as error:
                self._answer(500, str(error).encode(), str(error).split(".", 1)[0].removeprefix("Code: "))

        def _done(self, asked: dict[str, str], body: bytes) -> bytes:
            sql = asked.get("query") or body.decode()
            seen.statements.append(sql)
            if "query" in asked:
                block = folder / "posted"
                block.write_bytes(body)
                table, form = sql.removeprefix("INSERT INTO ").split(" FORMAT ")
                token = asked.get("insert_deduplication_token")
                more = f" SETTINGS insert_deduplication_token = '{token}'" if token else ""
                sql = f"INSERT INTO {table} SELECT * FROM file('{block}', '{form}'){more}"
            values = {name.removeprefix("param_"): value for name, value in asked.items() if name.startswith("param_")}
            found: bytes = engine._session.query(sql, asked.get("default_format", "Null"), params=values).bytes()
            return found

        def _answer(self, status: int, content: bytes, code: str = "") -> None:
            self.send_response(status)
            if code:
                self.send_header("X-ClickHouse-Exception-Code", code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"clickhouse://gate@127.0.0.1:{server.server_address[1]}/audit", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
