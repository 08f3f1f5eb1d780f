"""What several subcommands share: the configuration argument and printing.

For: small pieces of argument handling.
Not for: behaviour of any one command.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from lockgate.config.build import load_settings
from lockgate.config.load import address
from lockgate.config.settings import Address, DatabaseSettings, Settings
from lockgate.errors import ConfigError

DEFAULT_CONFIG = "lockgate.toml"
POST_QUANTUM = "with --prove: with every cosignature of ML-DSA-44, 3 KB each, not only those that the policy asks for"


def add_config(parser: argparse.ArgumentParser) -> None:
    """`--config FILE`, or LOCKGATE_CONFIG, or ./lockgate.toml."""
    parser.add_argument("--config", type=Path, default=Path(os.environ.get("LOCKGATE_CONFIG", DEFAULT_CONFIG)), metavar="FILE",
                        help="the gate's lockgate.toml (default: $LOCKGATE_CONFIG or ./lockgate.toml)")  # fmt: skip


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings that `--config` names.

    Raises:
        ConfigError: with every problem.
    """
    return load_settings(options.config, environment=os.environ)


def database_of(settings: Settings, name: str | None) -> DatabaseSettings:
    """The database that is meant; without a name the gate's only one.

    Raises:
        ConfigError: there is none of that name, or there are several and none is named.
    """
    if name is None and len(settings.databases) == 1:
        return settings.databases[0]
    found = settings.database(name) if name is not None else None
    if found is None:
        known = ", ".join(database.name for database in settings.databases)
        said = f"`{name}` is not a database of this gate" if name is not None else "name one of this gate's"
        raise ConfigError(f"--database: {said}: {known}")
    return found


def listen_of(text: str) -> Address:
    """`HOST:PORT` as an address.

    Raises:
        ConfigError: it is not one.
    """
    found = address(text)
    if found is None:
        raise ConfigError(f"--listen: `{text}` is not HOST:PORT")
    return found


def say(text: str) -> None:
    """One line for people."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say_json(value: Mapping[str, object] | list[object]) -> None:
    """One object a line for programs."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
