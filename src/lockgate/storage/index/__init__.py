"""The search index: a projection of the logs in ClickHouse's dialect.

For: finding entries fast; it is thrown away and built again from the logs at any time.
Not for: evidence. The index may be wrong, the log and its proofs are what counts; no gate loads it.
"""
