"""One client's stay: joins wire, sql, policy, masking and ledger into one way through; no I/O.

For: the conversation of a session, statement by statement (`conversation.py`), what a statement may do (`judge.py`), and what
becomes of the backend's answers (`replies.py`).
Not for: sockets, timers and files: the conversation yields wishes (`wishes.py`) and `transport` fulfils them.
"""
