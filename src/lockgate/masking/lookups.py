"""Values that a client compares with masked columns, opened before the database sees them.

For: a shown pseudonym finds its row; any other value is opened just the same, so that a guess meets another person's value or nothing.
Not for: finding the values in a statement (`sql.givens`), or putting them back (`sql.literals`, the session).
Invariant: what the client gives never reaches the database as it is; what is no pseudonym becomes a value that no row holds.
Source: masking.md 0.4; docs/adr/0003-pseudonym-constructions.md, section 10.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import re
from collections.abc import Mapping

from lockgate.errors import BackendProtocolError, RefusedStatementError
from lockgate.masking import arrays, numeric, pgtypes
from lockgate.masking.keys import KeyRing
from lockgate.masking.network import parse_address, prefix_length
from lockgate.masking.pseudonyms import Pseudonym, PseudonymPool
from lockgate.masking.tokens import to_bytes
from lockgate.model.catalog import Type
from lockgate.model.plan import Lookup

NO_NUMBER = -(10**60)
"""Compared as `numeric` where nothing may match: far outside of all numbers that have pseudonyms."""

_TEXT = 25
_INTEGER = re.compile(r"\s*([+-]?[0-9]{1,40})\s*", re.ASCII)
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]+", re.ASCII)


class Opener:
    """Opens the values of one session's statements."""

    def __init__(
        self,
        pool: PseudonymPool,
        *,
        key_ring: KeyRing,
        purpose: str,
        scope: str,
        epoch: int,
        types: Mapping[int, Type],
    ) -> None:
        """Prepare; the arguments are those of `RowMasker`, whose masks are opened here."""
        self._pool = pool
        self._ring = key_ring
        self._purpose = purpose
        self._scope = scope
        self._epoch = epoch
        self._types = types

    def constant(self, lookup: Lookup, value: str) -> str:
        """The text of a constant in the statement; `value` is what its token means.

        Raises:
            RefusedStatementError: the value cannot be read as one of its type.
        """
        shown = self.parameter(lookup, to_bytes(value), binary=False)
        return (shown or b"").decode("utf-8", "surrogatepass")

    def parameter(self, lookup: Lookup, raw: bytes | None, *, binary: bool) -> bytes | None:
        """A parameter in text or binary; NULL stays NULL.

        Raises:
            RefusedStatementError: the value cannot be read as one of its type.
        """
        if raw is None:
            return None
        shape = pgtypes.shape_of(lookup.given_type, self._types)
        given = _TEXT if shape.kind == "text" and shape.oid not in pgtypes.TEXT_TYPES else shape.oid
        pseudonym = self._pool.get(lookup.label, purpose=self._purpose, scope=self._scope, epoch=self._epoch)

        def cell(one: bytes) -> bytes:
            return self._opened(lookup, pseudonym, given, one, binary=binary)

        try:
            if not shape.array:
                return cell(raw)
            return arrays.mask_binary(raw, cell) if binary else arrays.mask_text(raw, shape.delimiter, cell)
        except (BackendProtocolError, ValueError):
            raise RefusedStatementError(
                "lookup-value", "a value that is compared with a masked column cannot be read as one of its type",
                hint="Give it in the plainest spelling of its type.", sqlstate="22P02",
            ) from None  # fmt: skip

    def _opened(self, lookup: Lookup, pseudonym: Pseudonym, given: int, raw: bytes, *, binary: bool) -> bytes:
        if given in pgtypes.TEXT_TYPES:
            value = raw.decode("utf-8")
            if pgtypes.BPCHAR in (given, lookup.type_oid):
                value = value.rstrip(" ")
            opened = pseudonym.reverse(value)
            return to_bytes(self._no_text(lookup.label, value) if opened is None else opened)
        if given in pgtypes.INTEGER_LIMITS or given == pgtypes.NUMERIC:
            return _number(lookup, pseudonym, given, raw, binary=binary)
        if given == pgtypes.UUID:
            if not binary:
                raw = _from_hexadecimal(raw.decode("ascii").strip().removeprefix("{").removesuffix("}"), "-")
            _need(len(raw) == 16)
            number = pseudonym.bits(int.from_bytes(raw, "big"), 128, backward=True)
            return number.to_bytes(16, "big") if binary else format(number, "032x").encode("ascii")
        if given == pgtypes.INET:
            return _inet_binary(pseudonym, raw) if binary else _inet_text(pseudonym, raw.decode("ascii"))
        if given in (pgtypes.MACADDR, pgtypes.MACADDR8):
            return _hardware(pseudonym, raw, 6 if given == pgtypes.MACADDR else 8, binary=binary)
        raise BackendProtocolError("no way to open a value of this type")

    def _no_text(self, label: str, value: str) -> str:
        """A text that no row holds: nobody without the key can make one."""
        key = self._ring.key(class_=label, purpose=self._purpose, scope=self._scope, epoch=self._epoch, use="no-match")
        digest = hmac.digest(key, to_bytes(value), "sha256")
        return "x_" + base64.b32encode(digest).decode("ascii").lower().rstrip("=")


def _number(lookup: Lookup, pseudonym: Pseudonym, given: int, raw: bytes, *, binary: bool) -> bytes:
    limit = pgtypes.INTEGER_LIMITS.get(lookup.type_oid, numeric.LARGEST)
    own = pgtypes.INTEGER_LIMITS.get(given)
    value = _read_number(given, raw, binary=binary)
    opened = None if value is None else pseudonym.reverse_integer(value, limit)
    if opened is None or (own is not None and abs(opened) > own):
        opened = NO_NUMBER if own is None else -(own + 1)
    if not binary:
        return str(opened).encode("ascii")
    if own is None:
        return numeric.write_binary(opened, 0)
    return opened.to_bytes(pgtypes.INTEGER_BYTES[given], "big", signed=True)


def _read_number(given: int, raw: bytes, *, binary: bool) -> int | None:
    """A whole number; None for a number with a fraction, which is no pseudonym."""
    if binary and given != pgtypes.NUMERIC:
        _need(len(raw) == pgtypes.INTEGER_BYTES[given])
        return int.from_bytes(raw, "big", signed=True)
    if binary:
        read = numeric.read_binary(raw)
        return None if read is None else read[0]
    text = raw.decode("ascii")
    found = _INTEGER.fullmatch(text)
    if found is not None:
        return int(found[1])
    _need(given == pgtypes.NUMERIC)
    read = numeric.read_text(text.strip())
    if read is None:
        float(text)  # whatever is no number is refused, as everywhere
        return None
    return read[0]


def _inet_text(pseudonym: Pseudonym, text: str) -> bytes:
    address, slash, prefix = text.strip().partition("/")
    parsed = parse_address(address)
    if parsed is None:
        raise BackendProtocolError("a network address cannot be read")
    bits = parsed.max_prefixlen
    _need(not slash or prefix_length(prefix, bits) is not None)
    opened = pseudonym.addresses.number(int(parsed), bits, backward=True)
    kind = ipaddress.IPv4Address if bits == 32 else ipaddress.IPv6Address
    return f"{kind(opened)}{slash}{prefix}".encode("ascii")


def _inet_binary(pseudonym: Pseudonym, raw: bytes) -> bytes:
    _need(len(raw) in (8, 20) and raw[0] in (2, 3) and raw[3] == len(raw) - 4 and raw[1] <= 8 * raw[3])
    opened = pseudonym.addresses.number(int.from_bytes(raw[4:], "big"), 8 * raw[3], backward=True)
    return raw[:4] + opened.to_bytes(raw[3], "big")


def _hardware(pseudonym: Pseudonym, raw: bytes, width: int, *, binary: bool) -> bytes:
    if not binary:
        raw = _from_hexadecimal(raw.decode("ascii").strip(), ":-.")
    _need(len(raw) == width)
    opened = pseudonym.hardware.number(int.from_bytes(raw, "big"), 8 * width, backward=True).to_bytes(width, "big")
    return opened if binary else opened.hex(":").encode("ascii")


def _from_hexadecimal(text: str, separators: str) -> bytes:
    digits = "".join(letter for letter in text if letter not in separators)
    _need(_HEXADECIMAL.fullmatch(digits) is not None and len(digits) % 2 == 0)
    return bytes.fromhex(digits)


def _need(condition: bool) -> None:
    if not condition:
        raise BackendProtocolError("a value does not have the form of its type")
