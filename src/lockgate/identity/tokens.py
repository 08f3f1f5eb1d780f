"""Stateless credentials: `lg1.<payload>.<HMAC-SHA256>`, presented as the password of a session.

For: issuing and verifying. A credential says who (and for whom), until when, for which databases, purpose and run.
Not for: keeping a list of credentials; only revoked ids are kept, elsewhere.
Invariants: nothing of the payload is read before its signature is verified; a client learns nothing of why a signature failed.
Source: architecture section 6; RFC 2104 (HMAC); RFC 4648 section 5 (base64url).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lockgate.errors import CredentialRejectedError, InvariantError
from lockgate.model.identity import Binding, Identity, Principal, PrincipalKind

PREFIX = "lg1"
TTL_MAX = timedelta(hours=12)
SKEW_MAX = timedelta(seconds=60)
KEY_BYTES_MIN = 32
TOKEN_LENGTH_MAX = 4096
DATABASES_MAX = 64
_CONTEXT = b"lockgate credential 1\n"
_TOKEN_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_WORD = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_NOT_VALID = "the credential is not valid"
_NOT_HERE = "the credential is not valid for this session"
_EXPIRED = "the credential has expired; sign in again"


class RejectedTokenError(CredentialRejectedError):
    """A credential was rejected; `reason` is a stable word for the ledger, the text is all the client learns."""

    def __init__(self, reason: str, sentence: str) -> None:
        self.reason = reason
        super().__init__(sentence)


class ExpiredTokenError(RejectedTokenError):
    """A credential of the gate's own making whose time is over: that alone may be told to whoever has it."""


@dataclass(frozen=True, slots=True)
class _Claims:
    token_id: str
    principal: str
    issued_at: datetime
    expires_at: datetime
    databases: tuple[str, ...]
    purpose: str | None
    run: str | None
    on_behalf_of: str | None


def issue(
    key: bytes,
    *,
    token_id: str,
    principal: Principal,
    issued_at: datetime,
    expires_at: datetime,
    databases: Sequence[str] = (),
    purpose: str | None = None,
    run: str | None = None,
    on_behalf_of: Principal | None = None,
) -> str:
    """Make a credential.

    Args:
        key: at least 32 bytes, the gate's own.
        token_id: 8 to 64 letters, digits, `_` or `-`; unique, so that it can be revoked.
        principal: who will sign in.
        issued_at: aware time, whole seconds are kept.
        expires_at: aware time, at most 12 hours after `issued_at`.
        databases: names it is good for, empty = all.
        purpose: why, for policies and records.
        run: identifier of the run.
        on_behalf_of: the person an agent or service acts for.

    Raises:
        CredentialRejectedError: the credential would break a rule that `verify` enforces.
    """
    refusal = _refusal_to_issue(principal, on_behalf_of, token_id, issued_at, expires_at)
    if refusal:
        raise RejectedTokenError("not-issued", refusal)
    if len(databases) > DATABASES_MAX or not all(_WORD.fullmatch(w) for w in (*databases, purpose or "-", run or "-")):
        raise RejectedTokenError("not-issued", "databases, purpose and run must be 1 to 128 printable characters each")
    payload: dict[str, object] = {
        "id": token_id,
        "sub": principal.name,
        "iat": int(issued_at.timestamp()),
        "exp": int(expires_at.timestamp()),
    }
    extra = {
        "db": list(databases) or None,
        "purpose": purpose,
        "run": run,
        "obo": None if on_behalf_of is None else on_behalf_of.name,
    }
    payload |= {name: value for name, value in extra.items() if value is not None}
    body = _encode(json.dumps(payload, separators=(",", ":"), sort_keys=True).encode())
    token = f"{PREFIX}.{body}.{_encode(_sign(key, body))}"
    if len(token) > TOKEN_LENGTH_MAX:
        raise RejectedTokenError("not-issued", "the credential would be too long; name fewer databases")
    return token


def verify(
    key: bytes,
    text: str,
    *,
    now: datetime,
    principals: Mapping[str, Principal],
    revoked: Collection[str],
    user: str,
    database: str,
) -> Identity:
    """The identity a credential proves for one session.

    Args:
        key: the key it must be signed with.
        text: what the client sent as password.
        now: aware time.
        principals: every known principal by name.
        revoked: ids of revoked credentials.
        user: user of the startup message; it must be the credential's principal.
        database: configured name of the database asked for.

    Raises:
        RejectedTokenError: with a sentence fit for the client and a reason fit for the ledger.
    """
    claims = _claims(_payload(key, text))
    if not claims.issued_at - SKEW_MAX <= now:
        raise RejectedTokenError("issued-in-future", _NOT_HERE)
    if now >= claims.expires_at:
        raise ExpiredTokenError("expired", _EXPIRED)
    if claims.token_id in revoked:
        raise RejectedTokenError("revoked", _NOT_HERE)
    if not hmac.compare_digest(claims.principal.encode(), user.encode("utf-8", "surrogateescape")):
        raise RejectedTokenError("other-user", _NOT_HERE)
    if claims.databases and database not in claims.databases:
        raise RejectedTokenError("other-database", _NOT_HERE)
    principal = _active(principals, claims.principal)
    if principal.owner is not None:
        _active(principals, principal.owner)
    acting_for = None
    if claims.on_behalf_of is not None:
        acting_for = _active(principals, claims.on_behalf_of)
        if acting_for.kind is not PrincipalKind.PERSON or principal.kind is PrincipalKind.PERSON:
            raise RejectedTokenError("bad-delegation", _NOT_HERE)
    return Identity(
        principal=principal,
        on_behalf_of=acting_for,
        token_id=claims.token_id,
        expires_at=claims.expires_at,
        databases=claims.databases,
        purpose=claims.purpose,
        run=claims.run,
        binding=Binding.ISSUED,
    )


def _refusal_to_issue(
    principal: Principal, acting_for: Principal | None, token_id: str, issued_at: datetime, expires_at: datetime
) -> str:
    if issued_at.tzinfo is None or expires_at.tzinfo is None:
        raise InvariantError("the times of a credential have no time zone")
    if not timedelta(seconds=1) <= expires_at - issued_at <= TTL_MAX:
        return "a credential lasts at least a second and at most 12 hours"
    if not _TOKEN_ID.fullmatch(token_id):
        return "the id of a credential must be 8 to 64 letters, digits, `_` or `-`"
    if principal.disabled:
        return f"principal `{principal.name}` is disabled"
    if acting_for is not None:
        if acting_for.kind is not PrincipalKind.PERSON or acting_for.disabled:
            return f"`{acting_for.name}` is not an active person, so nobody can act for them"
        if principal.kind is PrincipalKind.PERSON:
            return "a person does not act on behalf of another"
    return ""


def _payload(key: bytes, text: str) -> bytes:
    """The signed payload; every way of being malformed looks the same to the client."""
    parts = text.split(".") if len(text) <= TOKEN_LENGTH_MAX else []
    if len(parts) != 3 or parts[0] != PREFIX or not text.isascii():
        raise RejectedTokenError("malformed", _NOT_VALID)
    given = _decode(parts[2])
    if not hmac.compare_digest(_sign(key, parts[1]), given or b""):
        raise RejectedTokenError("bad-signature", _NOT_VALID)
    payload = _decode(parts[1])
    if payload is None:
        raise RejectedTokenError("malformed", _NOT_VALID)
    return payload


def _claims(payload: bytes) -> _Claims:
    try:
        raw = json.loads(payload)
        issued, expires, databases = raw["iat"], raw["exp"], raw.get("db", [])
        words = [raw["id"], raw["sub"], *databases]
        optional = {name: raw.get(name) for name in ("purpose", "run", "obo")}
        words += [word for word in optional.values() if word is not None]
        if not all(isinstance(w, str) for w in words) or type(issued) is not int or type(expires) is not int:
            raise RejectedTokenError("malformed", _NOT_VALID)
        issued_at, expires_at = datetime.fromtimestamp(issued, UTC), datetime.fromtimestamp(expires, UTC)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError):
        raise RejectedTokenError("malformed", _NOT_VALID) from None
    if not timedelta(0) < expires_at - issued_at <= TTL_MAX:
        raise RejectedTokenError("too-long", _NOT_VALID)
    return _Claims(
        token_id=raw["id"],
        principal=raw["sub"],
        issued_at=issued_at,
        expires_at=expires_at,
        databases=tuple(databases),
        purpose=optional["purpose"],
        run=optional["run"],
        on_behalf_of=optional["obo"],
    )


def _active(principals: Mapping[str, Principal], name: str) -> Principal:
    principal = principals.get(name)
    if principal is None:
        raise RejectedTokenError("unknown-principal", _NOT_HERE)
    if principal.disabled:
        raise RejectedTokenError("disabled-principal", _NOT_HERE)
    return principal


def _sign(key: bytes, body: str) -> bytes:
    if len(key) < KEY_BYTES_MIN:
        raise InvariantError(f"a credential key has at least {KEY_BYTES_MIN} bytes")
    return hmac.digest(key, _CONTEXT + body.encode(), hashlib.sha256)


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decode(text: str) -> bytes | None:
    """Canonical base64url without padding; None for everything else, so that one credential has one spelling."""
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if _encode(value) == text else None
