"""The files that people edit while a gate runs: principals, policies, catalog, revocations, read as a whole or not at all.

For: `Application`, which takes edited ones over, and commands that need what they say.
Not for: what the files mean (`config`, `policy`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lockgate.app.evidence import key_bytes, text_of
from lockgate.app.found import found_path, read_found, with_found
from lockgate.config.catalog_file import CatalogFile, parse_catalog
from lockgate.config.principals_file import parse_principals
from lockgate.config.settings import Settings
from lockgate.errors import ConfigError
from lockgate.model.identity import Principal
from lockgate.policy.engine import Engine, PolicySet

Stamps = dict[Path, tuple[int, int]]


@dataclass
class Documents:
    """The files that people edit while the gate runs, as last read without a problem."""

    principals: dict[str, Principal]
    policies: PolicySet
    catalog: CatalogFile
    revoked: frozenset[str]
    engine: Engine


def read_documents(settings: Settings) -> Documents:
    """Read principals, policies, catalog and revocations.

    Raises:
        ConfigError: with every problem of every file.
    """
    problems: list[str] = []
    principals: dict[str, Principal] = {}
    catalog = CatalogFile({})
    policies: PolicySet | None = None
    try:
        principals = parse_principals(text_of(settings.files.principals), file=str(settings.files.principals))
    except ConfigError as error:
        problems += error.problems
    try:
        catalog = parse_catalog(text_of(settings.files.catalog), file=str(settings.files.catalog))
        catalog = with_found(catalog, read_found(settings))
    except ConfigError as error:
        problems += error.problems
    try:
        policies = PolicySet.load(read_policies(settings.files.policies))
    except ConfigError as error:
        problems += [p if p.startswith("/") else f"{settings.files.policies}/{p}" for p in error.problems]
    if problems or policies is None:
        raise ConfigError(problems)
    return Documents(principals, policies, catalog, read_revoked(settings), Engine(policies, principals))


def read_policies(folder: Path) -> dict[str, str]:
    """Every `*.cedar` file of a folder by name.

    Raises:
        ConfigError: the folder has none, or one cannot be read.
    """
    files = {path.name: text_of(path) for path in sorted(folder.glob("*.cedar"))}
    if not files:
        raise ConfigError(f"{folder}:1: has no policy; `lockgate init` writes the starter policies")
    return files


def revoked_path(settings: Settings) -> Path:
    """Where revoked credential ids are kept, one a line."""
    return settings.files.keys.parent / "revoked.txt"


def read_revoked(settings: Settings) -> frozenset[str]:
    """Ids of revoked credentials."""
    path = revoked_path(settings)
    return frozenset(path.read_text().split()) if path.exists() else frozenset()


def check_keys(settings: Settings) -> None:
    """Read every key file as `serve` would.

    Raises:
        ConfigError: with every problem.
    """
    problems: list[str] = []
    own = () if settings.masking.key is not None else ("pseudonym.key",)
    for name in (*own, "token.key", "text.key", "person.key"):
        try:
            key_bytes(settings.files.keys / name)
        except ConfigError as error:
            problems += error.problems
    problems += [
        f"{p}:1: is missing"
        for p in (settings.files.keys / "log.key", settings.files.keys / "log.pub")
        if not p.is_file()
    ]
    if problems:
        raise ConfigError(problems)


def stamps(settings: Settings) -> Stamps:
    """When each of the files was changed last, and its size: another answer means that one was edited."""
    files = [
        settings.files.principals,
        settings.files.catalog,
        revoked_path(settings),
        found_path(settings),
        *settings.gateway.tls_files,
    ]
    files += sorted(settings.files.policies.glob("*.cedar"))
    return {p: (s.st_mtime_ns, s.st_size) for p in files if p.exists() for s in [p.stat()]}
