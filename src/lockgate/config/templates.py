"""Texts that `lockgate init` writes: `lockgate.toml` and `principals.toml`, with comments that explain them.

For: files a person can read and edit. Not for: `catalog.toml` (`catalog_file`) or policies (`policy.starter`).
Source: docs/reference/configuration.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lockgate.config.lines import text_value
from lockgate.config.schema import DATABASE, REPEATED, SECTIONS, Form, Key
from lockgate.model.identity import Principal

_WORDS = {
    "gateway": "Who this gate is and where clients connect.",
    "limits": "Sizes in bytes, times in seconds.",
    "analysis": "Connections that ask the database what a statement means; they see no data.",
    "masking": "Pseudonyms.",
    "ledger": "The record.",
    "index": "Where the record is searched; without `url`, searches read the log.",
    "mirror": "Copies of the record that nobody can remove before their time.",
    "files": "The other files; relative paths start at this file's folder.",
}


@dataclass(frozen=True, slots=True)
class DatabaseTemplate:
    """What `init` found out about one database; passwords are references such as `file:keys/demo.session`."""

    name: str
    environment: str
    host: str
    port: int
    dbname: str
    sslmode: str
    session_role: str
    session_password: str
    analysis_role: str
    analysis_password: str
    clear_role: str | None = None
    clear_password: str | None = None
    sslrootcert: str | None = None
    unsafe_superuser: bool = False
    vouched: str | None = None
    replication_role: str | None = None
    replication_password: str | None = None


def render_settings(
    *,
    name: str,
    listen: str,
    databases: Sequence[DatabaseTemplate],
    tls: tuple[str, str] | None = None,
    control_socket: str | None = None,
    metrics_listen: str | None = None,
    cleartext_on_loopback: bool = False,
) -> str:
    """A complete `lockgate.toml`: what is decided as keys, every default as a comment.

    Args:
        name: the gate's name.
        listen: `host:port`.
        databases: one `[[database]]` each.
        tls: paths of certificate and key; without them clients are accepted in clear on loopback.
        control_socket: path, when not the default.
        metrics_listen: `host:port`, when metrics are wanted.
        cleartext_on_loopback: accept clients without TLS on loopback, beside TLS.
    """
    decided: dict[str, str | bool] = {"name": name, "listen": listen}
    if tls is None or cleartext_on_loopback:
        decided["cleartext_on_loopback"] = True
    if tls is not None:
        decided["tls_certificate"], decided["tls_key"] = tls
    if control_socket is not None:
        decided["control_socket"] = control_socket
    if metrics_listen is not None:
        decided["metrics_listen"] = metrics_listen
    parts = ["# Lockgate. Every key is described in docs/reference/configuration.md; lines with `#` show defaults.", ""]
    for section, keys in SECTIONS.items():
        parts += [f"# {_WORDS[section]}", f"[{section}]"]
        parts += [_entry(key, decided if section == "gateway" else {}) for key in keys]
        parts.append("")
    for database in databases:
        parts += [render_database(database), ""]
    return "\n".join(parts).rstrip("\n") + "\n"


def render_database(database: DatabaseTemplate) -> str:
    """One `[[database]]`, also used to add a database to an existing file."""
    decided: dict[str, str | int | bool] = {}
    for key in DATABASE:
        value = getattr(database, key.name)
        if value is not None and not (key.name == "unsafe_superuser" and value is False):
            decided[key.name] = value
    lines = [f"{key} = {_value(value)}" for key, value in decided.items()]
    return "\n".join(["# A database behind this gate.", "[[database]]", *lines])


def render_principals(principals: Sequence[Principal]) -> str:
    """A `principals.toml` with the given principals, and an example of each kind as a comment."""
    parts = [
        "# Who may sign in. `lockgate token` issues a credential that expires; nothing here is secret.",
        "# Groups of the starter policies: administrators, unmaskers, writers, approvers.",
        "#",
        "# [[principal]]",
        '# name = "report-writer"',
        '# kind = "agent"              # person, service or agent',
        '# owner = "ann"               # the person who answers for it',
        "# groups = []",
        "# disabled = false            # true: no session, and every credential is refused",
        "",
    ]
    for principal in principals:
        parts += ["[[principal]]", f"name = {text_value(principal.name)}", f'kind = "{principal.kind.value.lower()}"']
        if principal.groups:
            parts.append(f"groups = [{', '.join(text_value(group) for group in principal.groups)}]")
        if principal.owner is not None:
            parts.append(f"owner = {text_value(principal.owner)}")
        if principal.disabled:
            parts.append("disabled = true")
        parts.append("")
    return "\n".join(parts).rstrip("\n") + "\n"


def render_reference() -> str:
    """The tables of `docs/reference/configuration.md`, from the same declarations that check the file."""
    sections = {
        **{f"[{name}]": keys for name, keys in SECTIONS.items()},
        **{f"[[{name}]]": keys for name, keys in REPEATED.items()},
    }
    parts: list[str] = []
    for title, keys in sections.items():
        parts += [f"### `{title}`", "", "| key | value | default | what it does |", "| --- | --- | --- | --- |"]
        parts += [f"| `{key.name}` | {_bounds(key)} | {_default(key)} | {key.sentence} |" for key in keys]
        parts.append("")
    return "\n".join(parts).rstrip("\n") + "\n"


def _entry(key: Key, decided: dict[str, str | bool]) -> str:
    if key.name in decided:
        return f"{key.name} = {_value(decided[key.name])}"
    shown = "" if key.default is None else _value(key.default)
    return f"# {key.name} = {shown}".rstrip() + f"  # {key.sentence}"


def _value(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return text_value(value)
    return f"{value}"


def _bounds(key: Key) -> str:
    if key.form is Form.CHOICE:
        return ", ".join(f"`{choice}`" for choice in key.choices)
    if key.form in {Form.WHOLE, Form.SECONDS}:
        unit = f" {key.unit}" if key.unit else ""
        return f"{key.lowest:.16g} to {key.highest:.16g}{unit}"
    return str(key.form.value)


def _default(key: Key) -> str:
    if key.required:
        return "required"
    return "not set" if key.default is None else f"`{_value(key.default)}`"
