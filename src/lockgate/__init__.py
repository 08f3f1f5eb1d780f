"""Lockgate: an identity-aware gate in front of databases.

Read `docs/follow-one-statement.md` for the way from a socket to a proof.
"""

__version__ = "0.1.0"
