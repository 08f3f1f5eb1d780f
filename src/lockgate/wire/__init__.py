"""Bytes to messages and back, for both sides of a conversation.

For: cutting byte streams into frames, decoding them into values, encoding values into bytes.
Not for: the meaning of messages, their order, sockets, clocks or policy. Everything here is a pure function or a value
machine: bytes go in, values come out, and each error names the peer whose bytes were wrong.
"""
