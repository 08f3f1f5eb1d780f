"""Storage: the only files and databases of our own.

For: ledger files (write-ahead log, tiles, checkpoints, sealed texts and their keys) and their readers.
Not for: what an entry means or how a tree is hashed; that is `lockgate.ledger`.
"""
