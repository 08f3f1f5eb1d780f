"""Configuration: files become frozen settings, or one error with every problem in them.

For: `lockgate.toml`, `principals.toml`, `catalog.toml`, database addresses, and the templates that `lockgate init` writes.
Not for: opening sockets or stores with what it read; only `app` and `cli` import this room.
Source: style.md 3.7.
"""
