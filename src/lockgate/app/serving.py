"""`lockgate serve`: a gate in one process, or the parent of several.

For: the command line.
Not for: what either does (`Application`, `supervisor`).
"""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path

from lockgate import speed
from lockgate.app import COLLECT_AFTER, Application, org
from lockgate.app.asking import is_running
from lockgate.app.supervisor import supervise
from lockgate.config.build import load_settings
from lockgate.config.settings import Address
from lockgate.errors import ConfigError
from lockgate.transport.plane import DataPlaneLoop


def serve(config: Path, listen: Address | None = None) -> None:
    """Run a gate until it is told to stop.

    Raises:
        ConfigError: something cannot be used; nothing has started.
    """
    settings = load_settings(config, environment=os.environ)
    if not speed.use(settings.gateway.core):
        raise ConfigError(f"{config}:1: `core` is `compiled`, and the compiled core is not built; use `auto`")
    if is_running(settings):
        # The log's lock decides in the end; this says it before anything has begun.
        raise ConfigError(
            f"a gate runs on {settings.path.parent} already, and answers on {settings.gateway.control_socket}"
        )
    stored = settings.path.read_bytes()
    process = org.start(settings)
    gauges = {"org_log_running": lambda: float(process.is_running())}
    if settings.gateway.workers > 1:
        supervise(settings, stored, listen, gauges)
        return

    async def main() -> None:
        application = Application(settings)
        gc.freeze()  # what is there now stays: the collector need not walk it again and again while sessions wait
        gc.set_threshold(COLLECT_AFTER)
        await application.run(listen, gauges)

    with asyncio.Runner(loop_factory=DataPlaneLoop) as runner:
        runner.run(main())
