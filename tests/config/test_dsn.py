"""Database addresses as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.config.dsn import Dsn, parse_dsn
from lockgate.config.secret import Secret
from lockgate.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://ann@/shop", Dsn("127.0.0.1", 5432, "ann", "shop", "disable")),
        ("postgres://ann:p%40ss@db.example:6000/shop?sslmode=verify-ca&sslrootcert=/ca.pem",
         Dsn("db.example", 6000, "ann", "shop", "verify-ca", Secret("p@ss"), "/ca.pem")),
        ("postgresql://ann@[::1]:5433/shop", Dsn("::1", 5433, "ann", "shop", "disable")),
        ("postgresql://ann@%2Frun%2Fpg/shop", Dsn("/run/pg", 5432, "ann", "shop", "disable")),
        ("postgresql://ann@db.example", Dsn("db.example", 5432, "ann", "ann", "verify-full")),
        ("postgresql:///shop?host=/tmp&port=5515&user=postgres", Dsn("/tmp", 5515, "postgres", "shop", "disable")),
        ("host=db.example user=ann password='a b\\'c' sslmode=prefer dbname = shop",
         Dsn("db.example", 5432, "ann", "shop", "require", Secret("a b'c"))),
        ("user=ann application_name=x", Dsn("127.0.0.1", 5432, "ann", "ann", "disable")),
    ],
)  # fmt: skip
def test_urls_and_pairs_are_read(text: str, expected: Dsn) -> None:
    assert parse_dsn(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "geheim", "postgresql://h/d", "postgresql://u@h:x/d", "postgresql://u@h:0/d", "host=a,b user=u", "user=u port=99999",
     "user=u sslmode=maybe", "user=u pasword=geheim", "postgresql://u:geheim@[bad/d", "user='geheim", "x" * 5000],
)  # fmt: skip
def test_what_cannot_be_read_is_a_configuration_error_without_the_password(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_dsn(text)

    assert "geheim" not in str(caught.value)


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_a_configuration_error(text: str) -> None:
    for prefix in ("", "postgresql://"):
        try:
            found = parse_dsn(prefix + text)
        except ConfigError:
            continue
        assert found.user
