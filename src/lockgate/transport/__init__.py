"""The only sockets, TLS and event loop: listener, client links, backend links, analysis connections, control socket.

For: moving bytes and waiting; fulfilling a session's wishes.
Not for: deciding anything. What a statement may do is decided in `session`.
"""
