"""The demo does what it says, to its last line."""

from __future__ import annotations

import subprocess
import sys


def test_the_demo_ends_as_promised_and_tells_of_no_login_past_the_gate() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lockgate.cli.main", "demo"], capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "All as promised" in done.stdout
    assert "bypass" not in done.stderr
