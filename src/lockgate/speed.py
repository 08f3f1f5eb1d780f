"""Which core does what is done for every row, message and entry: plain Python, or the same functions compiled.

For: the one switch. Each function has its plain form in the room it belongs to, which asks here for a compiled one.
Not for: building the compiled module (`tools/build_speed.py`); without it everything works, slower.
Source: ADR 14.
"""

from __future__ import annotations

import importlib
from typing import Any

PLAIN, COMPILED, AUTO = "plain", "compiled", "auto"
CORES = (AUTO, PLAIN, COMPILED)


def _load(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_BUILT: Any = _load("lockgate._speed")
_LANE: Any = _load("lockgate._lane") if _BUILT is not None else None
core: Any = _BUILT
"""The compiled functions while they are in use, else None."""
lane: Any = _LANE
"""The compiled lane of sessions and the loop around it, likewise."""


def is_built() -> bool:
    """Whether there is a compiled module at all."""
    return _BUILT is not None


def built_lane() -> Any:
    """The compiled lane's module whether or not it is in use; None where it was not built."""
    return _LANE


def name() -> str:
    """The core in use: `compiled` or `plain`."""
    return PLAIN if core is None else COMPILED


def use(wanted: str) -> bool:
    """Take a core for all rooms; false when the compiled one was asked for by name and is not there."""
    global core, lane
    core, lane = (None, None) if wanted == PLAIN else (_BUILT, _LANE)
    return wanted != COMPILED or core is not None
