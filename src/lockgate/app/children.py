"""Processes beside a gate that `serve` starts and keeps running.

For: the indexer and whatever else follows the ledger; the gate never waits for them and works without them.
Not for: workers, which are the gate itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

FIRST_SECONDS = 1.0
LAST_SECONDS = 30.0


class Parent:
    """The process that started this one, when it was told to end with it."""

    def __init__(self, number: int | None) -> None:
        """Args:
        number: its process id as it says itself, since it may be gone before this one looks; None when it does not matter.
        """
        self._number = number

    @property
    def is_gone(self) -> bool:
        """A gate that was killed tells nobody; its children belong to another process then."""
        return self._number is not None and os.getppid() != self._number


async def keep(command: str, config: Path) -> None:
    """Run `lockgate COMMAND` as a process of its own for as long as this task lives.

    It is started again when it ends, later each time, and ended with the task.
    """
    pause = FIRST_SECONDS
    loop = asyncio.get_running_loop()
    while True:
        begun = loop.time()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "lockgate.cli.main",
            command,
            "--with-parent",
            str(os.getpid()),
            "--config",
            str(config),
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
        pause = FIRST_SECONDS if loop.time() - begun > LAST_SECONDS else min(LAST_SECONDS, 2 * pause)
        sys.stderr.write(json.dumps({"event": f"{command}-ended", "status": status, "again_in_seconds": pause}) + "\n")
        await asyncio.sleep(pause)
