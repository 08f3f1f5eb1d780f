"""`principals.toml`: who may sign in.

For: people, services and agents with their groups and owners. Not for: credentials; those are signed and stateless.
Source: architecture sections 2 and 6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lockgate.config.lines import locate, parse
from lockgate.config.load import Problems, suggestion
from lockgate.errors import ConfigError
from lockgate.model.identity import Principal, PrincipalKind

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,62}")
"""A principal's or group's name: it is also a startup user and part of tags in the ledger."""

CERTIFICATE = re.compile(r"(CN|DNS|URI|email):[^\x00-\x1f\x7f*]{1,255}")
"""A name in a client certificate, with its kind; no patterns."""

_KEYS = ("name", "kind", "groups", "owner", "disabled", "certificates")
_KINDS = {kind.value.lower(): kind for kind in PrincipalKind}


def parse_principals(text: str, *, file: str) -> dict[str, Principal]:
    """Principals by name.

    Raises:
        ConfigError: with every problem as `file:line: sentence`.
    """
    parsed = parse(text, file)
    if isinstance(parsed, str):
        raise ConfigError(parsed)
    problems = Problems(file, locate(text))
    for key in parsed:
        if key != "principal":
            problems.add((key,), f"unknown section `{key}`{suggestion(key, ['principal'])}")
    given = parsed.get("principal", [])
    if not isinstance(given, list):
        problems.add(("principal",), "`principal` must be an array of tables; write `[[principal]]`")
        given = []
    principals: dict[str, Principal] = {}
    places: dict[str, int] = {}
    for index, table in enumerate(given):
        principal = _principal(table, index, problems)
        if principal is None:
            continue
        if principal.name in principals:
            problems.add(("principal", index, "name"), f"the name `{principal.name}` is used twice; choose another")
        else:
            principals[principal.name] = principal
            places[principal.name] = index
    for name, principal in principals.items():
        owner = principals.get(principal.owner or "")
        if principal.owner is not None and (owner is None or owner.kind is not PrincipalKind.PERSON):
            at = ("principal", places[name], "owner")
            problems.add(at, f"`owner` `{principal.owner}` is not a person in this file; add the person or correct it")
    known: dict[str, str] = {}
    for name, principal in principals.items():
        for certificate in principal.certificates:
            if known.setdefault(certificate, name) != name:
                at = ("principal", places[name], "certificates")
                problems.add(
                    at, f"`{certificate}` is of `{known[certificate]}` already; a certificate is of one principal"
                )
    if problems.found:
        raise ConfigError(problems.sentences())
    return principals


def _principal(table: object, index: int, problems: Problems) -> Principal | None:
    at = ("principal", index)
    if not isinstance(table, Mapping):
        problems.add(at, "each principal is a table; write `[[principal]]`")
        return None
    for key in table:
        if key not in _KEYS:
            problems.add((*at, str(key)), f"unknown key `{key}` in `principal`{suggestion(str(key), _KEYS)}")
    name, kind = table.get("name"), table.get("kind")
    groups, owner, disabled = table.get("groups", []), table.get("owner"), table.get("disabled", False)
    certificates = table.get("certificates", [])
    good = True
    if not isinstance(name, str) or not NAME.fullmatch(name):
        rule = "1 to 63 letters, digits, `_`, `.`, `@`, `+` or `-`, beginning with a letter or digit"
        problems.add((*at, "name"), f"`name` must be {rule}")
        good = False
    if not isinstance(kind, str) or kind not in _KINDS:
        problems.add((*at, "kind"), "`kind` must be `person`, `service` or `agent`")
        good = False
    if not isinstance(groups, list) or not all(isinstance(g, str) and NAME.fullmatch(g) for g in groups):
        problems.add((*at, "groups"), '`groups` must be a list of group names, such as `["writers"]`')
        good = False
    if owner is not None and not isinstance(owner, str):
        problems.add((*at, "owner"), "`owner` must be the name of a person")
        good = False
    if not isinstance(disabled, bool):
        problems.add((*at, "disabled"), "`disabled` must be `true` or `false`, without quotes")
        good = False
    if not isinstance(certificates, list) or not all(
        isinstance(c, str) and CERTIFICATE.fullmatch(c) for c in certificates
    ):
        rule = "a list of whole names with their kind (CN, DNS, URI or email)"
        problems.add(
            (*at, "certificates"), f'`certificates` must be {rule}, such as `["URI:spiffe://example.org/etl"]`'
        )
        good = False
    if not good:
        return None
    return Principal(
        name=str(name),
        kind=_KINDS[str(kind)],
        groups=tuple(dict.fromkeys(groups)),
        owner=owner,
        disabled=bool(disabled),
        certificates=tuple(dict.fromkeys(certificates)),
    )
