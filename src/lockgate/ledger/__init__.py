"""The ledger: entries, the RFC 6962 tree over them, C2SP tiles, signed checkpoints and proofs.

For: turning facts into bytes that a third party can check without trusting us.
Not for: files, clocks or randomness; `lockgate.storage` has the files, callers bring time, keys and nonces.
"""
