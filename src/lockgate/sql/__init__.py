"""Reading SQL: from a statement's text, and the target server's own tree of it, to what the statement does.

For: kinds and literals-free shapes (`parse`, by PostgreSQL's grammar), the server's analysed tree as values (`tree`), and the
provenance of every output, control columns, accesses, writes and opaque parts (`analysis`, `utility`).
Not for: deciding whether it may run (policy), masking (masking), or talking to a server (transport): texts come in, values go
out, and whatever is not understood is a `RefusedStatementError`.
"""
