"""Use cases of people and programs beside the data path: held requests, approvals, searching, reloading.

For: what the control socket, and later console, REST and MCP, call; the same policy and the same ledger as every statement.
Not for: sockets (`transport`) and files (`storage`).
"""
