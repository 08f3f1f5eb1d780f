"""A real witness in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass
class WitnessProcess:
    """`lockgate witness` on a free port.

    Args:
        folder: its state, which survives a restart.
        log: public key file of the log that it watches.
    """

    folder: Path
    log: Path
    name: str = "witness.example/w1"
    port: int = 0
    policy: str = ""
    process: subprocess.Popen[str] | None = None

    def start(self) -> WitnessProcess:
        """Start, or start again on the same port."""
        with (self.folder.parent / f"{self.folder.name}.stderr").open("a") as errors:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "lockgate.cli.main", "witness", "--dir", str(self.folder), "--name", self.name,
                    "--log", str(self.log), "--listen", f"127.0.0.1:{self.port}",
                ],
                text=True, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (self.folder.parent / f"{self.folder.name}.stderr").read_text()
        ready = json.loads(line)
        self.port = int(ready["listen"].rsplit(":", 1)[1])
        self.policy = ready["policy"]
        return self

    @property
    def url(self) -> str:
        """Its submission prefix."""
        return f"http://127.0.0.1:{self.port}"

    def write_policy(self, path: Path) -> None:
        """The trust policy of a gate with this witness only."""
        path.write_text(f"log {self.log.read_text().strip()}\n{self.policy}")

    def stop(self) -> None:
        """SIGTERM and wait."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(15)
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None

    @property
    def said(self) -> list[dict[str, object]]:
        """What it wrote for its operator."""
        return [json.loads(line) for line in self.errors.splitlines() if line.startswith("{")]

    @property
    def errors(self) -> str:
        """Its standard error."""
        return (self.folder.parent / f"{self.folder.name}.stderr").read_text()
