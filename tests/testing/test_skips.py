"""The rule about skips: counted by name for a person, a failure in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.tree import ROOT

EXAMPLE = """
import pytest

@pytest.fixture
def engine():
    pytest.skip("the engine is not installed")

def test_with_a_fixture(engine): ...

@pytest.mark.skip(reason="the engine is not installed")
def test_with_a_mark(): ...

def test_that_runs(): ...

@pytest.mark.xfail(reason="known", strict=True)
def test_that_is_expected_to_fail():
    raise ValueError
"""
WHOLE_FILE = 'import pytest\npytest.importorskip("a_module_that_nobody_has", reason="no such module")\n'


def _run(folder: Path, content: str, *, ci: str) -> tuple[int, str]:
    (folder / "test_example.py").write_text(content, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    environment = {**os.environ, "CI": ci, "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT / 'src'}"}
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout


def test_a_person_sees_what_was_skipped_and_how_often(tmp_path: Path) -> None:
    status, output = _run(tmp_path, EXAMPLE, ci="")
    assert status == 0
    assert "skipped 2: the engine is not installed" in output
    assert "1 passed, 2 skipped, 1 xfailed" in output


def test_in_ci_a_skipped_test_is_a_failed_test(tmp_path: Path) -> None:
    status, output = _run(tmp_path, EXAMPLE, ci="true")
    assert status == 1
    assert "skipped, which CI=true forbids: the engine is not installed" in output
    assert "skipped" not in output.splitlines()[-1]
    assert "1 passed" in output
    assert "1 xfailed" in output


@pytest.mark.parametrize(("ci", "status"), [("", 5), ("true", 2)])
def test_in_ci_a_skipped_file_is_an_error(tmp_path: Path, ci: str, status: int) -> None:
    assert _run(tmp_path, WHOLE_FILE, ci=ci)[0] == status
