"""Policy: (request, policies, now) -> decision with reasons and obligations; Cedar is inside and known nowhere else.

For: permit, deny or hold, who may unmask which column, who may connect and approve.
Not for: reading policy files, waiting for an approval, masking. Nothing here knows a protocol.
Source: architecture section 5; the Cedar policy language reference.
"""
