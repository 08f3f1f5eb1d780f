"""Facts become events, logs, spans and metrics for the systems of others.

For: following the ledger: every event is a function of entries, made after they are durable.
Not for: evidence (the log is), nor anything in the way of a statement: a slow receiver never stops the gate.
"""
