"""Commands of replication connections: what begins like one is never read as SQL, and what is not exactly one is refused.

Source: PostgreSQL documentation, 55.4; the server decides by the first word, over whitespace.
"""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import RefusedStatementError
from lockgate.model.statement import Action, Kind
from lockgate.sql.replication import COMMANDS, is_command, read_command

SPACES = st.text(" \t\n\r\f\v", max_size=3)


@pytest.mark.parametrize(
    ("text", "kind", "whole_server"),
    [
        ("IDENTIFY_SYSTEM", Kind.REPLICATION, False),
        ("SHOW data_directory_mode;", Kind.REPLICATION, False),
        ("TIMELINE_HISTORY 3", Kind.REPLICATION, False),
        ('CREATE_REPLICATION_SLOT "a" TEMPORARY PHYSICAL ( RESERVE_WAL)', Kind.REPLICATION_SLOT, False),
        ("CREATE_REPLICATION_SLOT a LOGICAL pgoutput (SNAPSHOT 'nothing')", Kind.REPLICATION_SLOT, False),
        ("DROP_REPLICATION_SLOT a WAIT", Kind.REPLICATION_SLOT, False),
        ("START_REPLICATION SLOT a LOGICAL 0/0 (proto_version '1')", Kind.REPLICATION_STREAM, False),
        ('START_REPLICATION SLOT "LOGICAL" PHYSICAL 0/0', Kind.REPLICATION_STREAM, True),
        ('START_REPLICATION SLOT "x LOGICAL 0/0" 0/0', Kind.REPLICATION_STREAM, True),
        ("START_REPLICATION LOGICAL 0/0", Kind.REPLICATION_STREAM, True),
        ("START_REPLICATION 0/3000000 TIMELINE 1", Kind.REPLICATION_STREAM, True),
        ("BASE_BACKUP ( LABEL 'x', MANIFEST 'yes')", Kind.BASE_BACKUP, True),
        ("UPLOAD_MANIFEST", Kind.BASE_BACKUP, True),
    ],
)
def test_a_command_is_known_by_its_kind_and_reach(text: str, kind: Kind, whole_server: bool) -> None:
    found = read_command(text)
    assert (found.parsed.kind, found.whole_server) == (kind, whole_server)
    actions = {access.action for access in found.analysis.accesses}
    assert Action.REPLICATE in actions
    assert (Action.EXPORT in actions) == (kind in (Kind.REPLICATION_STREAM, Kind.BASE_BACKUP))


@given(SPACES, st.sampled_from(sorted(COMMANDS)), st.booleans(), st.text(" ;()'\"x0/-*\n", max_size=12))
def test_what_begins_like_a_command_is_never_sql(before: str, word: str, lower: bool, rest: str) -> None:
    assert is_command(before + (word.lower() if lower else word) + " " + rest)


@given(st.sampled_from(sorted(COMMANDS - {"START_REPLICATION", "BASE_BACKUP", "CREATE_REPLICATION_SLOT", "ALTER_REPLICATION_SLOT"})),
       st.text(" ;xyz\"'0", max_size=8))  # fmt: skip
def test_nothing_follows_a_command(word: str, rest: str) -> None:
    text = f"{word} a 1; {rest} SELECT 1"
    with pytest.raises(RefusedStatementError):
        read_command(text)


@given(st.text(max_size=40))
def test_any_text_is_a_command_or_refused(text: str) -> None:
    if not is_command(text):
        with pytest.raises(RefusedStatementError):
            read_command(text)
        return
    with contextlib.suppress(RefusedStatementError):
        assert read_command(text).parsed.text == text
