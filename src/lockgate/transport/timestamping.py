"""Trusted time: an RFC 3161 token over a checkpoint, from a time-stamping authority.

For: showing that a checkpoint existed at a time that somebody else states. It says nothing of consistency; witnesses do.
Not for: when to ask, and where tokens lie (`app.org`). The package `rfc3161-client` (extra `timestamps`) is imported when it is needed.
Source: RFC 3161; rfc3161-client's documentation.
"""

from __future__ import annotations

from typing import Protocol

from cryptography.x509 import Certificate, load_pem_x509_certificates

from lockgate.errors import LedgerError
from lockgate.transport.witness_http import HttpAnswer, post

QUERY_TYPE = "application/timestamp-query"
REPLY_TYPE = "application/timestamp-reply"


class Post(Protocol):
    """How a query reaches the authority."""

    def __call__(self, url: str, body: bytes, *, content_type: str, seconds: float) -> HttpAnswer:
        """Post, and wait at most so long."""


def is_available() -> bool:
    """Whether the package that speaks RFC 3161 is installed."""
    try:
        import rfc3161_client  # noqa: F401  only whether it is there
    except ImportError:
        return False
    return True


def roots_from(pem: bytes) -> list[Certificate]:
    """The certificates of a PEM file.

    Raises:
        LedgerError: it has none.
    """
    try:
        return load_pem_x509_certificates(pem)
    except ValueError:
        raise LedgerError("the file of time-stamping roots has no certificate") from None


def timestamp(data: bytes, url: str, roots: list[Certificate], *, seconds: float, send: Post = post) -> bytes:
    """The authority's response (DER) for the SHA-256 of `data`, verified.

    Args:
        data: what is stamped, such as the text of a checkpoint.
        url: of the authority, http or https.
        roots: who may have issued the authority's certificate.
        seconds: how long to wait.
        send: how the query is posted.

    Raises:
        LedgerError: no answer, or one that does not verify.
    """
    from rfc3161_client import (
        HashAlgorithm,
        TimestampRequestBuilder,
        VerificationError,
        VerifierBuilder,
        decode_timestamp_response,
    )

    request = (
        TimestampRequestBuilder()
        .data(data)
        .hash_algorithm(HashAlgorithm.SHA256)
        .nonce(nonce=True)
        .cert_request(cert_request=True)
        .build()
    )
    answer = send(url, request.as_bytes(), content_type=QUERY_TYPE, seconds=seconds)
    if answer.status != 200 or answer.content_type.split(";")[0].strip() != REPLY_TYPE:
        raise LedgerError(f"the time-stamping authority answered with status {answer.status}")
    try:
        response = decode_timestamp_response(answer.body)
        builder = VerifierBuilder.from_request(request)
        for root in roots:
            builder = builder.add_root_certificate(root)
        builder.build().verify_message(response, data)
    except (VerificationError, ValueError) as error:
        raise LedgerError(f"the time-stamping authority's token does not verify ({type(error).__name__})") from None
    return answer.body
