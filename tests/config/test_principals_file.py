"""principals.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.config.principals_file import parse_principals
from lockgate.config.templates import render_principals
from lockgate.errors import ConfigError
from lockgate.model.identity import Principal, PrincipalKind

ANN = Principal("ann", PrincipalKind.PERSON, ("approvers", "writers"))
BOT = Principal("bot", PrincipalKind.AGENT, owner="ann", disabled=True)


def test_what_is_rendered_reads_back() -> None:
    assert parse_principals(render_principals([ANN, BOT]), file="p") == {"ann": ANN, "bot": BOT}
    assert parse_principals(render_principals([]), file="p") == {}


def test_every_problem_is_reported_at_once_with_its_line() -> None:
    text = """\
[[principal]]
name = "a b"
kind = "robot"
groups = "x"
[[principal]]
name = "bot"
kind = "agent"
owner = "nobody"
grups = []
[[principal]]
name = "bot"
kind = "service"
[people]
"""
    with pytest.raises(ConfigError) as caught:
        parse_principals(text, file="p")

    starts = [
        "p:2: `name` must be", "p:3: `kind` must be", "p:4: `groups` must be", "p:8: `owner` `nobody` is not a person",
        "p:9: unknown key `grups` in `principal`; did you mean `groups`?", "p:11: the name `bot` is used twice",
        "p:13: unknown section `people`",
    ]  # fmt: skip
    assert len(caught.value.problems) == len(starts)
    assert [p for p, start in zip(caught.value.problems, starts, strict=True) if not p.startswith(start)] == []


def test_an_owner_is_a_person() -> None:
    with pytest.raises(ConfigError, match="not a person"):
        parse_principals(
            render_principals(
                [Principal("etl", PrincipalKind.SERVICE), Principal("b", PrincipalKind.AGENT, owner="etl")]
            ),
            file="p",
        )


def test_the_example_of_the_documentation_loads() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    example = page.split("## principals.toml")[1].split("```toml\n")[1].split("```")[0]

    assert set(parse_principals(example, file="p")) == {"ann", "report-writer"}
