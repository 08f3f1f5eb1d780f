"""`lockgate log erase`: make statement texts unreadable for ever; the log itself stays, and stays provable."""

from __future__ import annotations

import argparse
import getpass
import re

from lockgate.app import erasing
from lockgate.cli.common import add_config, say, say_json, settings_of
from lockgate.errors import ConfigError

EPILOG = """examples:
  lockgate log erase --config gate/lockgate.toml --subject alice@example.com --reason request-7
  lockgate log erase --config gate/lockgate.toml --database shop --day 2026-11-22 --class person --reason request-8 --yes
  lockgate log erase --config gate/lockgate.toml --before 2026-01-01 --reason retention --yes

Without --yes it says what it would destroy. Texts of a subject are those in which the value was recognised: bound to a parameter, or
written as a constant. Entries stay, and so do their proofs; that something was erased, when, by whom and why are entries themselves.
"""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def add_to(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the step."""
    erase = steps.add_parser("erase", help="destroy keys of statement texts", epilog=EPILOG,
                             formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    add_config(erase)
    erase.add_argument(
        "--subject", metavar="VALUE", help="texts that name this value: an e-mail address, a number, a name"
    )
    erase.add_argument("--database", default="", help="texts of this database")
    erase.add_argument("--class", dest="dataset", default="", metavar="CLASS",
                       help="texts of this class of data: the first word of a label, such as person; none, unknown")  # fmt: skip
    erase.add_argument("--day", default="", metavar="YYYY-MM-DD", help="texts of this day (UTC)")
    erase.add_argument("--before", default="", metavar="YYYY-MM-DD", help="texts of all days before this one")
    erase.add_argument("--reason", required=True, help="why, for the record; no personal data")
    erase.add_argument("--by", default="", help="who, for the record (default: the operating system's user)")
    erase.add_argument("--yes", action="store_true", help="do it")
    erase.add_argument("--json", action="store_true", help="one object")
    erase.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """Say what would go, or destroy it; exit status 1 when nothing matches."""
    settings = settings_of(options)
    days = {"database": options.database, "dataset": options.dataset, "day": options.day, "before": options.before}
    for name in ("day", "before"):
        if days[name] and not _DAY.fullmatch(days[name]):
            raise ConfigError(f"--{name}: write YYYY-MM-DD")
    if options.subject is not None and any(days.values()):
        raise ConfigError("--subject: cannot be combined with --database, --class, --day or --before")
    if options.subject is None and not any(days.values()):
        raise ConfigError("say what: --subject, or any of --database, --class, --day, --before")
    if options.subject is not None:
        erasure = erasing.erasure_of_person(settings, options.subject)
        what = f"{erasure.size} texts of {erasure.fields['statements']} statements that name the value"
    else:
        erasure = erasing.erasure_of_days(settings, **days)
        what = f"{erasure.size} keys, each of one database, class and day"
    done = bool(options.yes and erasure.size)
    if done:
        erasing.erase(settings, erasure, by=options.by or getpass.getuser(), reason=options.reason)
    if options.json:
        say_json({"erased": done, "count": erasure.size, **erasure.fields})
    elif not erasure.size:
        say("nothing matches: nothing is left to erase")
    elif done:
        say(f"erased: {what}; the entries stay, and the erasure is an entry itself")
    else:
        say(f"would erase: {what}; this cannot be undone, say --yes to do it")
    return 0 if erasure.size else 1
