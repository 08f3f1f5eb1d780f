"""What a gate has once, however many workers it has: control socket, metrics, the comparison with databases' counts, processes beside it.

For: a gate's only worker, or the parent of several.
Not for: clients' statements, which never pass here.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping

from lockgate.app.children import keep
from lockgate.app.completeness import Completeness
from lockgate.app.places import shown
from lockgate.config.settings import Settings
from lockgate.transport.control_socket import Operations, serve_control
from lockgate.transport.http import serve_http

Facts = Mapping[str, object]


class Front:
    """One gate's."""

    def __init__(
        self, settings: Settings, *, operate: Operations, metrics: Callable[[], str | Awaitable[str]],
        healthy: Callable[[], Facts | Awaitable[Facts]], completeness: Completeness,
    ) -> None:  # fmt: skip
        """Args:
        operate: carries out commands of the control socket.
        metrics: everything in Prometheus' text format.
        healthy: what `/healthz` tells.
        """
        self._settings = settings
        self._operate = operate
        self._metrics = metrics
        self._healthy = healthy
        self._completeness = completeness
        self._servers: list[asyncio.Server] = []
        self._watchers: list[asyncio.Future[None]] = []

    async def look(self) -> None:
        """Ask every database for its counts before anything of the gate logs in, so that all logins are counted on both sides."""
        if self._settings.analysis.completeness_seconds:
            await self._completeness.look()

    async def open(self, listen: str) -> None:
        """Open everything, and say that clients may come to `listen`."""
        settings = self._settings
        self._servers.append(await serve_control(settings.gateway.control_socket, self._operated))
        ready: dict[str, object] = {"ready": True, "listen": listen}
        place = settings.gateway.metrics_listen
        if place is not None:
            served = await serve_http(place.host, place.port, metrics=self._metrics, healthy=self._healthy)
            self._servers.append(served)
            ready["metrics"] = shown(served.sockets)
        if settings.analysis.completeness_seconds:
            self._watch(self._completeness.run(settings.analysis.completeness_seconds))
        if settings.index.folder is not None or settings.index.server is not None:
            self._watch(keep("index", settings.path))
        if settings.mirror.url is not None:
            self._watch(keep("mirror", settings.path))
        if any(not export.url.startswith("parquet:") for export in settings.exports):
            self._watch(keep("export", settings.path))
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()

    def _operated(self, asked: Facts) -> object:
        """What only this process can answer, or what the gate's workers can."""
        if asked.get("op") == "completeness" and self._settings.analysis.completeness_seconds:
            return self._completeness.compared()
        return self._operate(asked)

    def _watch(self, work: Awaitable[None]) -> None:
        self._watchers.append(asyncio.ensure_future(work))

    async def close(self) -> None:
        """End everything; the last counts are recorded, so logs must still be open."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        if self._settings.analysis.completeness_seconds:
            await self._completeness.finish()
        for server in self._servers:
            server.close()
        if self._servers:  # else the control socket is another gate's
            self._settings.gateway.control_socket.unlink(missing_ok=True)
