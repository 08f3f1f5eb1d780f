"""Links in the documents lead somewhere, and names of code that they mention exist in the file they point to."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from support.tree import ROOT, defined_names, files, relative

LINK = re.compile(r"(?<!!)\[(?P<text>(?:[^\[\]`]|`[^`]*`)*)\]\((?P<target>[^()\s]+)\)")
NAMED = re.compile(r"`(?P<path>[\w./-]+\.py)::(?P<name>[\w.]+)`")
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)
DOCUMENTS = sorted(files(suffixes=frozenset({".md"})))


@cache
def _anchors(path: Path) -> frozenset[str]:
    """Anchors of a document as its headings give them."""
    headings = HEADING.findall(path.read_text(encoding="utf-8"))
    return frozenset(re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in headings)


def _problem(document: Path, text: str, target: str) -> str | None:
    where = f"{relative(document)}: {target}"
    if re.match(r"[a-z]+:", target):
        return None
    name, _, anchor = target.partition("#")
    path = (document.parent / name).resolve() if name else document
    if not path.is_relative_to(ROOT) or not path.exists():
        return f"{where} does not exist"
    if path.suffix == ".md" and anchor and anchor not in _anchors(path):
        return f"{where} has no such heading"
    if path.suffix == ".py":
        if anchor:
            return f"{where}: line numbers age; put the name in the text of the link"
        code = re.fullmatch(r"`([\w.]+?)(?:\(\))?`", text)
        if code and "/" not in code[1] and not code[1].endswith(".py") and code[1] not in defined_names(path):
            return f"{where} does not define {code[1]}"
    return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_every_link_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    problems = [_problem(document, match["text"], match["target"]) for match in LINK.finditer(text)]
    assert [problem for problem in problems if problem] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_every_name_of_code_exists_where_the_document_says(document: Path) -> None:
    """Names written as `src/lockgate/room/module.py::name`, from the top of the repository."""
    problems = []
    for match in NAMED.finditer(document.read_text(encoding="utf-8")):
        path = ROOT / match["path"]
        if not path.is_file() or match["name"] not in defined_names(path):
            problems.append(match[0])
    assert problems == []


def test_decisions_have_a_number_each() -> None:
    numbers = [path.name[:4] for path in files("docs/adr", suffixes=frozenset({".md"}))]
    assert all(number.isdigit() for number in numbers)
    assert len(numbers) == len(set(numbers))
