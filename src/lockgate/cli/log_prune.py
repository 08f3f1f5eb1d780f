"""`lockgate log prune`: remove entries that the retention policy no longer keeps."""

from __future__ import annotations

import argparse
import getpass
import re
from datetime import UTC, datetime

from lockgate.app import retention
from lockgate.cli.common import add_config, say, say_json, settings_of
from lockgate.errors import ConfigError

EPILOG = """examples:
  lockgate log prune --config gate/lockgate.toml
  lockgate log prune --config gate/lockgate.toml --before 2020-01-01 --reason "end of the audit period" --yes

Without --yes it says what would go. Entries go in whole bundles of 256 from the beginning of each worker's log, with their texts; hashes and
checkpoints stay, so everything that remains can still be proven. That it was done, by whom and why is an entry itself.
"""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def add_to(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the step."""
    parser = steps.add_parser("prune", help="remove entries that `sealed_days` no longer keeps", epilog=EPILOG,
                              formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    add_config(parser)
    parser.add_argument("--before", default="", metavar="YYYY-MM-DD", help="only entries before this day (UTC)")
    parser.add_argument("--reason", default="retention", help="why, for the record (default: %(default)s)")
    parser.add_argument("--by", default="", help="who, for the record (default: the operating system's user)")
    parser.add_argument("--yes", action="store_true", help="do it")
    parser.add_argument("--json", action="store_true", help="one object")
    parser.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """Say what would go, or remove it; exit status 1 when nothing is old enough."""
    settings = settings_of(options)
    before = None
    if options.before:
        if not _DAY.fullmatch(options.before):
            raise ConfigError("--before: write YYYY-MM-DD")
        try:
            before = datetime.fromisoformat(options.before).replace(tzinfo=UTC)
        except ValueError as error:
            raise ConfigError("--before: there is no such day") from error
    pruning = retention.planned(settings, before, datetime.now(UTC))
    facts: dict[str, object] = {
        "entries": pruning.size,
        "logs": pruning.minima,
        "before": pruning.before,
        "pruned": False,
    }
    if pruning.size and options.yes:
        texts = retention.carry_out(settings, pruning, by=options.by or getpass.getuser(), reason=options.reason)
        facts |= {"pruned": True, "texts": texts}
    begins = ", ".join(f"{origin}#{minimum}" for origin, minimum in pruning.minima.items())
    if options.json:
        say_json(facts)
    elif not pruning.size:
        say(f"nothing to prune: no whole bundle of entries is older than {pruning.before[:10]}")
    elif options.yes:
        say(
            f"pruned: {pruning.size} entries before {pruning.before[:10]}; each log says with which entry it begins now: {begins}"
        )
    else:
        say(
            f"would prune {pruning.size} entries before {pruning.before[:10]}; this cannot be undone, say --yes to do it"
        )
    return 0 if pruning.size else 1
