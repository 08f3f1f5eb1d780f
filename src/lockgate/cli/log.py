"""`lockgate log`: search the record, show one entry, verify all of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lockgate.app import evidence, search
from lockgate.cli import log_anchor, log_canary, log_completeness, log_erase, log_prune, log_search
from lockgate.cli.common import POST_QUANTUM, add_config, say, say_json, settings_of
from lockgate.errors import ConfigError

INDEX_DIGITS_MAX = 18

EPILOG = """examples:
  lockgate log search --config gate/lockgate.toml --label person.email --since 24h
  lockgate log search readers --config gate/lockgate.toml --column public.customers.email --since 90d
  lockgate log show 17 --config gate/lockgate.toml --prove proofs
  lockgate log search --config gate/lockgate.toml --person alice@example.com
  lockgate log show 17 --config gate/lockgate.toml --text
  lockgate log show gate/2#17 --config gate/lockgate.toml
  lockgate log verify --config gate/lockgate.toml
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("log", help="the record: search, show, verify", epilog=EPILOG,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    log_search.add_to(steps)
    show = steps.add_parser("show", help="one entry by its index, or as `log search` names it")
    add_config(show)
    show.add_argument("entry", metavar="[LOG#]INDEX", help="such as 17, or gate/2#17")
    show.add_argument("--log", help="origin of the log, when several workers have one")
    show.add_argument(
        "--prove", type=Path, metavar="FOLDER", help="write the entry and its tlog-proof into this folder"
    )
    show.add_argument("--post-quantum", action="store_true", help=POST_QUANTUM)
    show.add_argument("--text", action="store_true", help="decrypt and print the statement's text as well")
    show.set_defaults(handler=run_show)
    log_erase.add_to(steps)
    log_completeness.add_to(steps)
    log_canary.add_to(steps)
    log_prune.add_to(steps)
    log_anchor.add_to(steps)
    verify = steps.add_parser("verify", help="verify signatures, tree, entries, counters with the standalone verifier")
    add_config(verify)
    verify.set_defaults(handler=run_verify)


def run_show(options: argparse.Namespace) -> int:
    """Print one entry; exit status 1 when there is none."""
    settings = settings_of(options)
    named, index = reference(options.entry)
    log, entry = search.entry_of(settings, options.log or named, index)
    if entry is None:
        say(f"lockgate: the log has no entry {index}")
        return 1
    say_json(entry)
    if options.prove is not None:
        (proof,) = search.prove(
            settings, [{"log": log, "index": index}], options.prove, post_quantum=options.post_quantum
        )
        sys.stderr.write(f"lockgate: proof in {proof}\n")
    if options.text and "text" not in entry:
        say("lockgate: this entry has no statement text")
        return 1
    if options.text:
        text, _, parameters = search.entry_text(settings, log, entry, index).partition(b"\x00")
        say(text.decode("utf-8", "replace"))
        if parameters:
            say(f"-- and {int.from_bytes(parameters[:2], 'big')} parameters, {len(parameters)} bytes")
    return 0


def reference(text: str) -> tuple[str | None, int]:
    """`17` or `gate/2#17` as the log's origin, where it is named, and the index.

    Raises:
        ConfigError: it is neither.
    """
    log, _, index = text.rpartition("#")
    if not index.isdecimal() or len(index) > INDEX_DIGITS_MAX:
        raise ConfigError(f"`{text}` names no entry; write its index, or the log and the index as in gate/2#17")
    return log or None, int(index)


def run_verify(options: argparse.Namespace) -> int:
    """Run the standalone verifier."""
    return evidence.verify_log(settings_of(options))
