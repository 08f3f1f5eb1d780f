"""A label from names and type alone, for schemas nobody has described.

For: the first guess of `lockgate init`. It prefers to say `unknown` where names do not tell.
Not for: values, configuration or the last word. Nothing here knows any particular schema.
Source: masking.md section 4; architecture promise 5 ("sensitive columns are found without anyone writing a regex").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lockgate.classification import words as w
from lockgate.classification.tokens import words_of
from lockgate.classification.types import Form, form_of

Guess = tuple[str, float, str]

STRONG, LIKELY, WEAK = 0.95, 0.8, 0.6
UNKNOWN: Guess = ("unknown", 0.0, "default")


@dataclass(frozen=True, slots=True)
class _Column:
    """The words of one column, and what its table is about."""

    words: tuple[str, ...]
    form: Form
    table: tuple[str, ...]
    about_persons: bool
    about_things: bool

    def has(self, vocabulary: frozenset[str]) -> bool:
        return not vocabulary.isdisjoint(self.words)

    def has_pair(self, pairs: Iterable[frozenset[str]]) -> bool:
        return any(pair.issubset(self.words) for pair in pairs)

    @property
    def last(self) -> str:
        return self.words[-1] if self.words else ""


def classify(
    schema: str,
    table: str,
    column: str,
    type_name: str,
    *,
    table_columns: Sequence[str],
    type_kind: str = "",
) -> Guess:
    """Guess one column's label.

    Args:
        schema: its schema's name; a second source of context (`hr`, `crm`).
        table: its table's or view's name.
        column: its name.
        type_name: as format_type prints it.
        table_columns: names of all columns of the table: neighbours say what a table is about.
        type_kind: pg_type.typtype where known.

    Returns:
        (label, score from 0 to 1, who decided: `name`, or `default` when nothing was recognised).
    """
    form = form_of(type_name, type_kind)
    subject = _subject(schema, words_of(table), table_columns)
    words = words_of(column)
    known = _Column(words, form, words_of(table), about_persons=subject > 0, about_things=subject < 0)
    by_type = _by_type(known)
    if by_type is not None:
        return by_type
    if form is Form.NUMBER:
        return _number(known)
    if form is Form.UUID:
        return _said("secret.credential", LIKELY) if _is_secret(known) else _said("none", STRONG)
    if form is Form.OTHER:
        typed = _Column(words_of(type_name), form, known.table, known.about_persons, known.about_things)
        guess = _text(known)
        return guess if guess != UNKNOWN else _sensitive_only(_text(typed))
    guess = _text(known)
    if form is Form.BYTES:
        return _bytes(known, guess)
    if form is Form.JSON:
        return _json(guess)
    if form is Form.ARRAY and guess[0] == "none" and not known.has(w.ID):
        return UNKNOWN
    return guess


def _said(label: str, score: float) -> Guess:
    return (label, score, "name")


def _sensitive_only(guess: Guess) -> Guess:
    return guess if guess[0] != "none" else UNKNOWN


def _subject(schema: str, table: tuple[str, ...], columns: Sequence[str]) -> int:
    """1 when the table is about persons, -1 about things, 0 when names do not tell."""
    words = set(table)
    if words & w.GENERIC_THING and words != {"profile"}:
        return -1
    if words & w.PERSON:
        return 1
    if words & w.THING - w.PERHAPS_PERSON:
        return -1
    neighbours = [set(words_of(column)) for column in columns]
    personal = (w.GIVEN_NAME, w.BIRTH, w.EMAIL)
    if any(found & group for found in neighbours for group in personal):
        return 1
    if any(found & w.NAME and found & (w.NAME_PART - {"full", "real"}) for found in neighbours):
        return 1
    return 1 if set(words_of(schema)) & w.PERSON else 0


def _by_type(c: _Column) -> Guess | None:
    """What the type alone decides."""
    match c.form:
        case Form.BOOLEAN | Form.RANGE | Form.ENUM:
            return _said("none", STRONG)
        case Form.NETWORK:
            return _said("network.address", STRONG)
        case Form.MAC:
            return _said("network.mac", STRONG)
        case Form.PLACE:
            return _said("location.coordinates", STRONG)
        case Form.VECTOR:
            return _said("derived.embedding", STRONG)
        case Form.SEARCH:
            return _said("text.free", LIKELY)
        case Form.MOMENT:
            return _said("person.birth_date", STRONG) if c.has(w.BIRTH) else _said("none", STRONG)
        case _:
            return None


def _number(c: _Column) -> Guess:
    """Numbers are sensitive only where their name says so plainly."""
    if c.has_pair(w.NATIONAL_ID_PAIRS) or (c.has(w.NATIONAL_ID) and c.last not in w.ID):
        return _said("person.national_id", LIKELY)
    if c.last in w.ID or c.last in w.ATTRIBUTE_HEAD - {"year"}:
        return _said("none", STRONG)
    if c.has(w.SALARY):
        return _said("finance.salary", STRONG)
    if c.has(w.BIRTH):
        return _said("person.birth_date", LIKELY)
    if c.has(w.LATITUDE) or (c.words == ("long",) and not c.about_persons):
        return _said("location.coordinates", STRONG)
    if c.has(w.SECRET_NUMBER) and not c.has(frozenset({"count", "attempts", "attempt", "length"})):
        return _said("secret.credential", LIKELY)
    numbered = c.has(w.NUMBER)
    counted = (c.words[:1] != () and c.words[0] in w.COUNTS) or c.last in w.COUNTS - w.NUMBER
    if counted:
        return _said("none", STRONG)
    if c.has(w.IBAN) or (c.has(w.ACCOUNT) and numbered):
        return _said("payment.iban", LIKELY)
    if c.has(w.CARD) and not c.has(w.NO_CARD) and not c.has(w.EXPIRY):
        return _said("payment.card", LIKELY)
    if c.has(w.PHONE) and not c.has(frozenset({"code", "prefix", "extension"})):
        return _said("person.phone", LIKELY)
    if c.has(w.POSTAL):
        return _said("person.address", LIKELY)
    if c.has_pair((frozenset({"credit", "score"}), frozenset({"credit", "limit"}), frozenset({"net", "worth"}))):
        return _said("amount.other", WEAK)
    if c.has(w.BALANCE) and (c.about_persons or not w.ACCOUNT.isdisjoint(c.table)):
        return _said("amount.other", WEAK)
    return _said("none", LIKELY)


def _text(c: _Column) -> Guess:
    """Texts: the first rule that recognises the name decides; the order is from the most to the least specific."""
    if not c.words:
        return UNKNOWN
    if (c.last in w.ATTRIBUTE_HEAD or c.words[0] in w.ATTRIBUTE_LEAD) and not _keeps_its_head(c):
        return _said("none", LIKELY)
    for rule in (_secret, _network, _payment, _identity, _contact, _birth, _place, _health, _name, _income, _free):
        guess = rule(c)
        if guess is not None:
            return guess
    return _rest(c)


def _is_secret(c: _Column) -> bool:
    if c.has(frozenset({"public"})) and c.has(frozenset({"key"})):
        return False
    if c.has(w.SECRET) or c.has_pair(w.SECRET_PAIRS):
        return True
    return c.last in {"key", "value", "code"} and len(c.words) == 1 and not w.SECRET_TABLE.isdisjoint(c.table)


def _secret(c: _Column) -> Guess | None:
    if not _is_secret(c) or (c.has(frozenset({"pin", "pincode"})) and "address" in c.table):
        return None
    return _said("secret.credential", STRONG)


def _network(c: _Column) -> Guess | None:
    if c.has(w.IP):
        return _said("network.address", STRONG)
    return _said("network.mac", STRONG) if c.has(w.MAC) else None


def _payment(c: _Column) -> Guess | None:
    if c.has(w.IBAN) or (c.has(w.ACCOUNT) and c.has(w.NUMBER)):
        return _said("payment.iban", STRONG)
    if not (c.has(w.CARD) or c.has_pair(w.CARD_PAIRS)) or c.has(w.NO_CARD):
        return None
    if c.has(w.HOLDER) or c.has(w.NAME):
        return _said("person.name", LIKELY)
    if c.has(w.EXPIRY) or c.last in w.ID:
        return _said("none", LIKELY)
    if "id" in c.words or c.has_pair(w.NATIONAL_ID_PAIRS):
        return _said("person.national_id", LIKELY)
    return _said("payment.card", LIKELY)


def _identity(c: _Column) -> Guess | None:
    if c.has_pair(w.NATIONAL_ID_PAIRS) or c.has(w.NATIONAL_ID):
        return _said("person.national_id", STRONG)
    if c.has(frozenset({"vat", "ustid", "ust", "tva", "iva", "btw"})) and c.about_persons:
        return _said("person.national_id", WEAK)
    return None


def _contact(c: _Column) -> Guess | None:
    if c.has(w.EMAIL):
        return _said("person.email", STRONG)
    if c.has(w.PHONE):
        return _said("none", LIKELY) if c.last in {"code", "prefix"} else _said("person.phone", STRONG)
    if c.words == ("extension",) and c.about_persons:
        return _said("person.phone", WEAK)
    return None


def _keeps_its_head(c: _Column) -> bool:
    """Names whose last word looks like an attribute of something else, but is not (`blood_type`, `birth_place`)."""
    return len(c.words) == 1 or c.has_pair(w.HEALTH_PAIRS) or (c.has(w.BIRTH) and c.has(w.PLACE))


def _birth(c: _Column) -> Guess | None:
    if not c.has(w.BIRTH):
        return None
    if c.has(w.NAME):
        return _said("person.name", STRONG)
    return _said("person.address", LIKELY) if c.has(w.PLACE) else _said("person.birth_date", STRONG)


def _place(c: _Column) -> Guess | None:
    if c.has(w.LATITUDE) or (c.form is not Form.TEXT and "location" in c.words):
        return _said("location.coordinates", LIKELY)
    if c.has(w.ADDRESS):
        if c.has(w.NOT_A_PLACE):
            return UNKNOWN
        return _said("person.address", LIKELY if c.about_things else STRONG)
    if c.words in {("ship", "to"), ("deliver", "to"), ("bill", "to"), ("house", "number"), ("house", "no")}:
        return _said("person.address", LIKELY)
    near_address = not w.ADDRESS.isdisjoint(c.table) or c.about_persons
    if near_address and len(c.words) <= 2 and c.words[0] in w.ADDRESS_IN_CONTEXT - {"nr", "unit", "ort"}:
        return _said("person.address", WEAK)
    return None


def _health(c: _Column) -> Guess | None:
    condition = c.words == ("condition",) and "patient" in c.table
    if not (c.has(w.HEALTH) or c.has_pair(w.HEALTH_PAIRS) or condition):
        return None
    return _said("text.free" if c.last in w.FREE else "health.code", LIKELY)


def _name(c: _Column) -> Guess | None:
    """Names of persons, told from names of things by qualifiers, table and neighbours."""
    if c.has(w.GIVEN_NAME):
        return _said("person.name", STRONG)
    named = c.has(w.NAME)
    if named and c.has(w.NAME_PART):
        return _said("none", LIKELY) if c.about_things else _said("person.name", STRONG)
    if not named:
        return _role(c)
    rest = [word for word in c.words if word not in w.NAME and word not in {"de", "del", "du", "da", "di", "of", "the"}]
    own = rest and set(rest) <= set(c.table)
    if not rest or own or rest == ["display"]:
        if c.about_persons:
            return _said("person.name", LIKELY)
        return _said("none", LIKELY) if c.about_things else UNKNOWN
    if any(word in w.GENERIC_THING for word in rest):
        return _said("none", LIKELY)
    if any(word in w.PERSON for word in rest):
        return _said("person.name", LIKELY)
    if (
        rest[0] in w.ROLE_PREFIX
        and not {"ship", "vessel"} & set(c.table)
        and (len(rest) == 1 or rest[1] in w.ROLE_PREFIX)
    ):
        return _said("person.name", LIKELY)
    if any(word in w.THING or word in w.BENIGN for word in rest):
        return _said("none", LIKELY)
    return UNKNOWN


def _role(c: _Column) -> Guess | None:
    """A role alone (`recipient`), who did something (`created_by`), or half a name (`first`) in a table of persons."""
    if len(c.words) == 2 and c.last == "by" and c.words[0] in w.DID:
        return _said("person.name", WEAK)
    if c.last in w.PERSON and not c.has(w.ID) and c.last not in {"user", "profile", "personal", "lead", "conductor"}:
        return _said("person.name", WEAK)
    if c.about_persons and c.words in {
        ("first",),
        ("last",),
        ("middle",),
        ("middle", "initial"),
        ("surnames",),
        ("nick",),
    }:
        return _said("person.name", LIKELY)
    return None


def _income(c: _Column) -> Guess | None:
    return _said("finance.salary", LIKELY) if c.has(w.SALARY) else None


def _free(c: _Column) -> Guess | None:
    if c.words == ("subject",) and not (w.ABOUT_CASES | w.EMAIL | w.FREE).isdisjoint(c.table):
        return _said("text.free", WEAK)
    if not c.has(w.FREE) or c.last in w.ID or c.last in {"code", "url", "link", "path", "title", "number", "color"}:
        return None
    if c.about_things and c.has(w.DESCRIPTION) and w.ABOUT_CASES.isdisjoint(c.table):
        return _said("none", LIKELY)
    return _said("text.free", LIKELY)


def _rest(c: _Column) -> Guess:
    """What is harmless by its last or only words; else unknown."""
    if c.last in w.HOLDS_ANYTHING:
        return UNKNOWN
    if c.last in w.ID or c.words[0] == "id":
        return _said("none", LIKELY)
    meaningful = [word for word in c.words if not word.isdigit()]
    if c.last in w.BENIGN or (meaningful and all(word in w.BENIGN or word in w.THING for word in meaningful)):
        return _said("none", LIKELY)
    if c.words[0] in w.BENIGN and len(c.words) > 1 and not c.has(w.PERSON):
        return _said("none", WEAK)
    return UNKNOWN


def _bytes(c: _Column, guess: Guess) -> Guess:
    """Bytes are what their name says, keys are secrets, everything else is unknown."""
    if c.has(frozenset({"key", "cipher", "encrypted", "signature", "digest"})):
        return _said("secret.credential", LIKELY)
    return guess if guess[0] != "none" else UNKNOWN


def _json(guess: Guess) -> Guess:
    """A document has many values: a secret stays one, anything else sensitive is free text, the rest is unknown."""
    if guess[0] in {"none", "unknown"}:
        return UNKNOWN
    return guess if guess[0] == "secret.credential" else _said("text.free", WEAK)
