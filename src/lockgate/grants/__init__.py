"""Grants: a held statement becomes a request, an approval, and permission for exactly that statement, once.

For: states and who may move them. Not for: telling approvers, waiting, or deciding what needs approval (`policy`).
Source: architecture section 3, step 7.
"""
