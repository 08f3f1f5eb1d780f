"""The nouns, as frozen values; standard library only.

For: the words every room shares (principal, resource, statement, analysis, decision, entry).
Not for: behaviour. Nothing here reads a file, a clock or a socket.
"""
