"""The auditor's verifier, loaded from its file: it is a distribution of its own and no part of the package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

PROGRAM = Path(__file__).resolve().parents[2] / "verifier" / "lockgate_verify.py"


class Report(Protocol):
    """What tests look at in a report."""

    findings: list[tuple[str, int | None, str]]
    size: int
    texts: int
    texts_erased: int
    pending: int
    open_intents: int
    unknown_outcomes: int


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lockgate_verify", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["lockgate_verify"] = module
    spec.loader.exec_module(module)
    return module


verifier = _load()


def verify(folder: Path, key_text: str) -> Report:
    """Check one log."""
    return cast("Report", verifier.verify(folder, key_text))
