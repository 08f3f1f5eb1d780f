"""Evidence in values: what a text looks like, whole or in part, by shape and check digits.

For: the second line behind names and lineage: a column that nobody labelled and that holds such values is labelled from then on.
Not for: the boundary of masking, which is provenance; and not for names of people or addresses, which have no shape.
Source: ISO/IEC 7812-1 (Luhn), ISO 13616-1 (IBAN), ITU-T E.164, RFC 5322, RFC 7519; the issuers' documentation of their key formats.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

CELL_CHARS_MAX = 2048
"""Beginning of a cell that is looked at."""

CELLS_MAX = 64
"""Cells of one column that are looked at in one answer."""

HITS_MIN = 3
"""Cells that must look alike before a column is labelled, unless all there are do."""

SHARE_MIN = 0.2
"""Share of the cells with a value that must look alike."""

_SECRETS = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[0-9A-Za-z]{36,}\b|\bxox[abprs]-[0-9A-Za-z-]{20,}"
    r"|\b(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{16,}\b|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----|\$2[aby]\$[0-9]{2}\$[./0-9A-Za-z]{53}|\$argon2(?:i|d|id)\$v=",
    re.ASCII,
)
_MAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])", re.ASCII)
_IBAN = re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,4})?\b", re.ASCII)
_CARD = re.compile(
    r"(?<![\d-])[2-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}(?![\d-])|(?<![\d-])3[47]\d{2}[ -]?\d{6}[ -]?\d{5}(?![\d-])",
    re.ASCII,
)
_SOCIAL = re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])", re.ASCII)
_PHONE = re.compile(r"(?<![\w+])\+[1-9]\d{0,2}[ ./-]?\(?\d{1,5}\)?(?:[ ./-]?\d{2,5}){1,4}(?!\w)", re.ASCII)
_ADDRESS = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])", re.ASCII)
_HARDWARE = re.compile(r"(?<![\w:-])[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?![\w:-])", re.ASCII)
_DOUBLED = str.maketrans("0123456789", "0246813579")


def _luhn(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    if not 13 <= len(digits) <= 19 or len(set(digits)) < 2:
        return False
    return (sum(map(int, digits[::-1][1::2].translate(_DOUBLED))) + sum(map(int, digits[::-1][::2]))) % 10 == 0


def _mod97(text: str) -> bool:
    compact = text.replace(" ", "")
    if not 15 <= len(compact) <= 34:
        return False
    return int("".join(str(int(letter, 36)) for letter in compact[4:] + compact[:4])) % 97 == 1


def _long_enough(text: str) -> bool:
    return 8 <= sum(letter.isdigit() for letter in text) <= 15


def _any(_text: str) -> bool:
    return True


_DETECTORS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("secret.credential", _SECRETS, _any),
    ("payment.iban", _IBAN, _mod97),
    ("payment.card", _CARD, _luhn),
    ("person.email", _MAIL, _any),
    ("person.national_id", _SOCIAL, _any),
    ("person.phone", _PHONE, _long_enough),
    ("network.mac", _HARDWARE, _any),
    ("network.address", _ADDRESS, _any),
)
"""Label, shape, and what must hold beside the shape; the first that fits decides."""


def look(text: str) -> tuple[str, bool] | None:
    """The label that a text's content suggests, and whether it is the whole text; None when nothing is recognised."""
    head = text[:CELL_CHARS_MAX].strip()
    for label, shape, holds in _DETECTORS:
        for found in shape.finditer(head):
            if holds(found[0]):
                return label, found[0] == head
    return None


@dataclass(slots=True)
class Evidence:
    """What was seen of one column in one answer."""

    cells: int = 0
    values: int = 0
    hits: dict[str, int] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Whether enough was looked at."""
        return self.cells >= CELLS_MAX

    def add(self, cell: str | None) -> None:
        """Look at one more cell."""
        self.cells += 1
        if not cell:
            return
        self.values += 1
        found = look(cell)
        if found is not None:
            label = found[0] if found[1] else "text.free"
            self.hits[label] = self.hits.get(label, 0) + 1

    def label(self) -> tuple[str, float] | None:
        """The label that the column should have and the share of values that say so; None while too few do.

        A text with something inside it counts for every label; a credential anywhere is enough by itself.
        """
        if not self.hits:
            return None
        total = sum(self.hits.values())
        share = round(total / self.values, 2)
        if "secret.credential" in self.hits:
            return "secret.credential", share
        if total < min(HITS_MIN, max(self.values, 2)) or share < SHARE_MIN:
            return None
        best = max(self.hits, key=lambda label: self.hits[label])
        return ("text.free" if len(self.hits) > 1 and "text.free" in self.hits else best), share
