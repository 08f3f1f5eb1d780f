"""The wheel's build hook: brings the compiled core along where it can be built.

For: hatchling. Not for: editable installs, which `make install` serves by calling the same tool.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent / "tools"))

import build_speed


class CompiledCore(BuildHookInterface):  # type: ignore[type-arg]
    """Builds the module and makes the wheel one of this platform; without a compiler the wheel is pure."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the wheel's files are gathered."""
        problem = build_speed.build()
        if problem:
            self.app.display_warning(f"the compiled core was not built, the plain one is used: {problem}")
        elif version != "editable":
            for made in build_speed.targets():
                build_data["force_include"][str(made)] = f"lockgate/{made.name}"
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
