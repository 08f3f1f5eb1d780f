"""Client certificates as credentials: a name in the certificate is mapped to one principal by `principals.toml`.

For: who a certificate is, once TLS has verified that an accepted authority signed it, that it is valid now and not on a list of
revoked ones. Not for: that verification, nor reading files.
Invariants: names are compared whole and with their kind, so a host name is never taken for a common name and nothing matches by
pattern; a certificate whose names are of two principals is nobody's.
Source: RFC 5280, 4.1.2.6 (subject) and 4.2.1.6 (alternative names); SPIFFE X509-SVID, section 2 (identities as URIs).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from lockgate.identity.tokens import TTL_MAX, RejectedTokenError
from lockgate.model.identity import Binding, Identity, Principal

KINDS = ("CN", "DNS", "URI", "email")
"""Kinds of names that a principal can be known by, as they are written before the colon."""
_NOT_HERE = "the certificate is not accepted for this session"


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What a verified certificate says.

    Args:
        names: with their kind, such as `URI:spiffe://example.org/etl`.
        token_id: stands for the certificate in the ledger and in the list of revoked credentials.
        expires_at: aware time.
    """

    names: frozenset[str]
    token_id: str
    expires_at: datetime


def principal_of(certificate: PeerCertificate, principals: Mapping[str, Principal]) -> Principal | None:
    """The one principal that a certificate names, None when there is none or more than one."""
    found = [p for p in principals.values() if certificate.names.intersection(p.certificates)]
    return found[0] if len(found) == 1 else None


def identify(
    certificate: PeerCertificate, *, now: datetime, principals: Mapping[str, Principal], revoked: Collection[str], user: str
) -> Identity | None:  # fmt: skip
    """The identity that a certificate proves for one session.

    The session ends with the certificate, and after twelve hours at the latest, as one that a token opened.

    Args:
        now: aware time.
        principals: every known principal by name.
        revoked: ids of revoked credentials.
        user: user of the startup message.

    Returns:
        None when the certificate does not name that user: then it proves nothing here, and another credential is needed.

    Raises:
        RejectedTokenError: it names the user, but nobody gets in with it.
    """
    principal = principal_of(certificate, principals)
    if principal is None or principal.name != user:
        return None
    if certificate.token_id in revoked:
        raise RejectedTokenError("revoked", _NOT_HERE)
    if now >= certificate.expires_at:
        raise RejectedTokenError("expired", _NOT_HERE)
    owner = principal if principal.owner is None else principals.get(principal.owner)
    if principal.disabled or owner is None or owner.disabled:
        raise RejectedTokenError("disabled-principal", _NOT_HERE)
    return Identity(
        principal=principal,
        on_behalf_of=None,
        token_id=certificate.token_id,
        expires_at=min(certificate.expires_at, now + TTL_MAX),
        binding=Binding.ATTESTED,
    )
