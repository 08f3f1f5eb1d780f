"""Identity: credentials become principals.

For: signed, short-lived credentials and the chain "agent acting for a person in a run" that they carry.
Not for: what a principal may do (`policy`), or where keys are kept; keys, time and the list of principals are arguments.
Source: architecture section 6.
"""
