"""Pseudonyms per label: text to text and number to number, injective, with inverses for lookups.

For: one place that knows which construction each injective label uses and how a narrow column is served.
Not for: types and formats of the wire (`transforms`), or labels that are only withheld.
Source: docs/adr/0003-pseudonym-constructions.md.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from lockgate.errors import InvariantError
from lockgate.masking.keys import KeyRing
from lockgate.masking.network import Addresses, Hardware
from lockgate.masking.numerals import Numerals
from lockgate.masking.people import Mails, Names
from lockgate.masking.rules import INJECTIVE_LABELS
from lockgate.masking.tokens import TokenMaker, to_bytes

UNSHAPED = "x_"
"""Before the token of a value that has not its label's shape; no shape contains an underscore there."""

_POOLED = 256
_POOLED_COLUMNS = 32

Numbered = Callable[..., str | None]


class Pseudonym:
    """The pseudonyms of one label under one purpose, scope and epoch."""

    def __init__(self, label: str, ring: KeyRing, *, purpose: str, scope: str, epoch: int) -> None:
        if label not in INJECTIVE_LABELS:
            raise InvariantError("this label has no injective pseudonyms")

        def key(use: str) -> bytes:
            return ring.key(class_=label, purpose=purpose, scope=scope, epoch=epoch, use=use)

        def tokens(use: str) -> TokenMaker:
            return TokenMaker(key(use), key(use + "-tag"))

        self.label = label
        self._tokens = tokens("text")
        self.names = Names(tokens("name"))
        self.mails = Mails(tokens("mail-local"), tokens("mail-domain"))
        self.numerals = Numerals(key("digits"), key("mixed"), key("integers"))
        self.addresses = Addresses(self.numerals)
        self.hardware = Hardware(self.numerals)
        shapes: dict[str, Numbered] = {
            "person.phone": self.numerals.phone,
            "person.national_id": self.numerals.identifier,
            "payment.card": self.numerals.card,
            "payment.iban": self.numerals.iban,
            "network.address": self.addresses.text,
            "network.mac": self.hardware.text,
        }
        self._shape = shapes.get(label)

    def text(self, value: str) -> str:
        """The pseudonym of a text, always ASCII; different texts have different ones."""
        shown: str | None
        if self._shape is not None:
            shown = self._shape(value)
        else:
            shown = self.names.show(value) if self.label == "person.name" else self.mails.show(value)
        return UNSHAPED + self._tokens.encode(value) if shown is None else shown

    def fitted(self, value: str, limit: int) -> str:
        """The pseudonym in at most `limit` characters: the usual one if it fits, else shorter and not always reversible."""
        shown = self.text(value)
        if len(shown) <= limit:
            return shown
        if self.label == "person.name":
            shown = self.names.fit(value, limit) or "n_" + self._tokens.tag(value, max(limit - 2, 0))
        elif self.label == "person.email" and "@" in shown:
            domain = self.mails.short_domain(value)
            room = min(limit - len(domain) - 3, 26)
            if room in (16, 24):
                room -= 1  # never as long as a token
            if room >= 8:
                return f"u_{self._tokens.tag(value, room)}@{domain}"
            shown = UNSHAPED + self._tokens.tag(value, max(limit - 2, 0))
        else:
            shown = UNSHAPED + self._tokens.tag(value, max(limit - 2, 0))
        return shown[:limit] if limit > 4 else self._tokens.tag(value, limit)

    def reverse(self, shown: str) -> str | None:
        """The text whose pseudonym is `shown`, None when no text has it. Digit shapes nearly always have one."""
        if shown.startswith(UNSHAPED):
            value = self._tokens.decode(shown.removeprefix(UNSHAPED))
        elif self._shape is not None:
            value = self._shape(shown, backward=True)
        else:
            value = self.names.reverse(shown) if self.label == "person.name" else self.mails.reverse(shown)
        if value is None:
            return None
        wanted = to_bytes(shown)
        ours = (to_bytes(self.text(value)), to_bytes(self.fitted(value, len(shown))))
        return value if hmac.compare_digest(wanted, ours[0]) | hmac.compare_digest(wanted, ours[1]) else None

    def integer(self, value: int, limit: int) -> int | None:
        """The pseudonym of an integer of size at most `limit`; None when the label or the limit has none."""
        return self._integer(value, limit, backward=False)

    def reverse_integer(self, shown: int, limit: int) -> int | None:
        """The integer whose pseudonym is `shown`."""
        return self._integer(shown, limit, backward=True)

    def bits(self, value: int, bits: int, *, backward: bool = False) -> int:
        """The pseudonym of a bit string, such as a UUID, or the bit string behind one."""
        return self.numerals.bits(value, bits, backward=backward)

    def _integer(self, value: int, limit: int, *, backward: bool) -> int | None:
        if self.label == "payment.card":
            return self.numerals.card_integer(value, limit, backward=backward)
        if self.label in ("person.phone", "person.national_id"):
            return self.numerals.integer(value, limit, backward=backward)
        return None


class PseudonymPool:
    """Keeps the prepared pseudonyms of a bounded number of (label, purpose, scope, epoch), for one thread."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._kept: dict[tuple[str, str, str, int], Pseudonym] = {}
        self._cells: dict[tuple[object, ...], dict[bytes, bytes | None]] = {}
        self._columns: dict[tuple[object, ...], Any] = {}

    def cells(self, name: tuple[object, ...]) -> dict[bytes, bytes | None]:
        """Masked cells seen before under exactly this label, rule, type, format and key; whoever fills it bounds it."""
        if name not in self._cells and len(self._cells) >= _POOLED_COLUMNS:
            self._cells.clear()
        return self._cells.setdefault(name, {})

    def column(self, name: tuple[object, ...], make: Callable[[], Any]) -> Any:
        """The compiled core's column of exactly this label, rule, type, format and key: it keeps what it has prepared, and no value."""
        column = self._columns.get(name)
        if column is None:
            if len(self._columns) >= _POOLED_COLUMNS:
                self._columns.clear()
            column = self._columns[name] = make()
        return column

    def get(self, label: str, *, purpose: str, scope: str, epoch: int) -> Pseudonym:
        """The pseudonyms of one label; what is not kept is made anew and is the same."""
        name = (label, purpose, scope, epoch)
        pseudonym = self._kept.get(name)
        if pseudonym is None:
            pseudonym = Pseudonym(label, self._ring, purpose=purpose, scope=scope, epoch=epoch)
            if len(self._kept) >= _POOLED:
                self._kept.clear()
            self._kept[name] = pseudonym
        return pseudonym
