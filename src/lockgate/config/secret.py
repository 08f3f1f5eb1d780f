"""A secret that does not print, and where it comes from.

For: passwords referenced as `file:<path>` or `env:<NAME>`, never written in the configuration itself.
Not for: keeping secrets; the file or the environment keeps them.
Source: style.md 3.7; architecture section 6 (backend credentials).
"""

from __future__ import annotations

import hmac
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

SECRET_BYTES_MAX = 4096
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Secret:
    """A value that shows itself only when asked by name."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value. Call it only where it is used."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


def resolve(reference: str, *, folder: Path, environment: Mapping[str, str]) -> Secret | str:
    """The secret a reference names, or a sentence that says why it cannot be had.

    A file must not be readable by other users; one line feed at its end is not part of the secret.

    Args:
        reference: `file:<path>` (relative to `folder`) or `env:<NAME>`.
        folder: where relative paths start.
        environment: environment variables.
    """
    scheme, _, rest = reference.partition(":")
    if scheme == "env" and _NAME.fullmatch(rest):
        value = environment.get(rest)
        return Secret(value) if value else f"environment variable `{rest}` is not set; set it or use `file:<path>`"
    if scheme == "file" and rest:
        return _from_file(folder / rest, rest)
    return "is not a reference to a secret; write `file:<path>` or `env:<NAME>`, never the secret itself"


def _from_file(path: Path, shown: str) -> Secret | str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return f"secret file `{shown}` is not a regular file"
        if status.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
            return f"secret file `{shown}` is open to other users; run `chmod 600` on it"
        if status.st_size > SECRET_BYTES_MAX:
            return f"secret file `{shown}` is larger than {SECRET_BYTES_MAX} bytes"
        text = path.read_bytes()[: SECRET_BYTES_MAX + 1].decode()
    except OSError as error:
        return f"secret file `{shown}` cannot be read: {error.strerror or 'unknown cause'}"
    except UnicodeDecodeError:
        return f"secret file `{shown}` is not UTF-8 text"
    value = text.removesuffix("\n").removesuffix("\r")
    if not value or "\0" in value:
        return f"secret file `{shown}` is empty or holds a zero byte"
    return Secret(value)
