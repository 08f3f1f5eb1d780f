"""Pseudonyms of names and e-mail addresses.

For: `Given Family-token` and `u_token@domain`, readable and reversible.
Not for: keeping gender, language, initials or the number of words; nothing of the name itself shows.
Source: docs/adr/0003-pseudonym-constructions.md, section 4.
"""

from __future__ import annotations

from lockgate.masking.tokens import TokenMaker, to_bytes
from lockgate.masking.words import FAMILY_NAMES, GIVEN_NAMES, PUBLIC_MAIL_PROVIDERS

_LOCAL = "u_"
_DOMAIN = "d-"
_TOP = ".example"
_REMEMBERED_DOMAINS = 1024
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_LABEL_LETTERS = 48  # a DNS label holds 63


class Names:
    """Names: two invented words and the token of the whole value."""

    def __init__(self, tokens: TokenMaker) -> None:
        self.tokens = tokens

    def show(self, value: str) -> str:
        """`Given Family-token`; the words depend on the token alone."""
        token = self.tokens.encode(value)
        return f"{_words(token)}-{token}"

    def fit(self, value: str, limit: int) -> str | None:
        """A shorter reversible form, `n-token`, when that fits."""
        token = self.tokens.encode(value)
        return "n-" + token if len(token) + 2 <= limit else None

    def reverse(self, shown: str) -> str | None:
        """The name behind a mask, None when it is none of ours."""
        words, dash, token = shown.rpartition("-")
        if not dash or words not in ("n", _words(token)):
            return None
        return self.tokens.decode(token)


class Mails:
    """E-mail addresses: local part and domain each a token; domains of public providers stay."""

    def __init__(self, locals_: TokenMaker, domains: TokenMaker) -> None:
        self.locals = locals_
        self._domains = domains
        self._shown_domains: dict[str, str] = {}

    def show(self, value: str) -> str | None:
        """`u_token@domain`, None for text that is no address."""
        local, at, domain = value.rpartition("@")
        if not at or not local or not domain or len(value) > 512:
            return None
        # The domain is the tweak: one local part at two domains gives two unrelated tokens.
        return f"{_LOCAL}{self.locals.encode(local, to_bytes(domain))}@{self.domain(domain)}"

    def reverse(self, shown: str) -> str | None:
        """The address behind a mask, None when it is none of ours."""
        local, at, domain = shown.rpartition("@")
        if not at or not local.startswith(_LOCAL):
            return None
        real = domain if domain in PUBLIC_MAIL_PROVIDERS else self._real_domain(domain)
        if real is None:
            return None
        opened = self.locals.decode(local.removeprefix(_LOCAL), to_bytes(real))
        return None if opened is None else f"{opened}@{real}"

    def short_domain(self, value: str) -> str:
        """For columns too narrow for the token: the domain part only if it is public, else a reserved one."""
        domain = value.rpartition("@")[2]
        return domain if domain in PUBLIC_MAIL_PROVIDERS else "masked.example"

    def domain(self, domain: str) -> str:
        """How a domain is shown."""
        if domain in PUBLIC_MAIL_PROVIDERS:
            return domain
        shown = self._shown_domains.get(domain)
        if shown is None:
            token = self._domains.encode(domain)
            labels = [token[start : start + _LABEL_LETTERS] for start in range(0, len(token), _LABEL_LETTERS)]
            shown = _DOMAIN + ".".join(labels) + _TOP
            if len(self._shown_domains) >= _REMEMBERED_DOMAINS:
                self._shown_domains.clear()
            self._shown_domains[domain] = shown
        return shown

    def _real_domain(self, shown: str) -> str | None:
        if not shown.startswith(_DOMAIN) or not shown.endswith(_TOP):
            return None
        real = self._domains.decode(shown[len(_DOMAIN) : -len(_TOP)].replace(".", ""))
        return real if real is not None and self.domain(real) == shown else None


def _words(token: str) -> str:
    given = GIVEN_NAMES[_BASE32.find(token[:1]) % len(GIVEN_NAMES)]
    family = FAMILY_NAMES[_BASE32.find(token[1:2]) % len(FAMILY_NAMES)]
    return f"{given} {family}"
