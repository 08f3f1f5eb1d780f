"""Random schemas, random statements, twins: `run.py --minutes 30`. Prints its seed; the same seed makes the same statements.

For: `make generate`. Exit status: 0 when nothing was found, 1 otherwise.
"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from corpus.stage import Stage
from generator.choices import Choices
from generator.play import Player, Tally
from generator.schemas import make_schema

WORLDS = 3
MINUTES = 3
REASONS, ERRORS = 60, 12


def main(arguments: list[str] | None = None) -> int:
    """Play stages of a few worlds each until the time is over."""
    options = _options(arguments)
    print(f"seed {options.seed}, PostgreSQL {options.pg}", flush=True)
    tally = Tally()
    deadline = time.monotonic() + 60 * options.minutes
    number = 0
    try:
        while time.monotonic() < deadline:
            play_stage(
                f"{options.seed}/{number}",
                options.pg,
                deadline,
                tally,
                options.statements,
                minutes=options.stage_minutes,
            )
            number += 1
            print(f"  {number} stages, {tally.played.total()} statements", flush=True)
            if options.statements:
                break
    finally:
        report(tally)
    return 1 if tally.found or tally.clear else 0


def play_stage(
    seed: str, major: int, deadline: float, tally: Tally, statements: int = 0, worlds: int = WORLDS, *, minutes: float = MINUTES
) -> None:  # fmt: skip
    """A stage with a few fresh worlds, played in turns for some minutes or until a time, or so many statements in each world."""
    mades = [make_schema(Choices(f"{seed}/{i}")) for i in range(worlds)]
    stages = [made.world(f"gen{i}") for i, made in enumerate(mades)]
    with Stage(stages, major=major, seed=1) as stage:
        for line in stage.x.unreadable:
            print(f"  not readable: {line}", flush=True)
        if stage.of_one_length:
            print(f"  lengths kept, since pages would differ: {' '.join(stage.of_one_length)}", flush=True)
        players = [Player(stage, world, made) for world, made in zip(stages, mades, strict=True)]
        for player in players:
            for line in player.clear_columns():
                print(f"  CLEAR {seed}: {line}", flush=True)
                tally.clear.append(f"{seed}: {line}")
            for line in sorted(set(stage.pairs[player.world.name].contradictions)):
                print(f"  PAIRS {seed}: {line}", flush=True)
                tally.clear.append(f"{seed}: {line}")
        turn = 0
        deadline = min(deadline, time.monotonic() + 60 * minutes)
        while time.monotonic() < deadline and (not statements or turn < statements):
            for number, player in enumerate(players):
                before = len(tally.found)
                player.play(Choices(f"{seed}/{number}/{turn}"), f"{seed}/{number}/{turn}", tally)
                for found in tally.found[before:]:
                    print(f"FOUND {found}", flush=True)
            turn += 1
        for player in players:
            player.close()


def report(tally: Tally) -> None:
    """Counts, a table of refusals by kind of statement and reason, and what the server itself rejected."""
    print(
        f"{tally.played.total()} statements, {tally.stored} changed rows, {tally.unstable} unstable, {len(tally.found)} found, {len(tally.clear)} columns in clear or wrongly paired"
    )
    for kind, played in tally.played.items():
        refused = sum(count for (of, _), count in tally.refused.items() if of == kind)
        print(
            f"{kind}: {played} statements, {tally.answered[kind]} answered, {refused} refused ({refused / played:.1%})"
        )
    for key, count in tally.refused.most_common(REASONS):
        print(f"{count:7} {key[0]:5} {key[1]:.160}\n              {tally.examples[key]:.260}")
    for text, count in tally.errors.most_common(ERRORS):
        print(f"{count:7} server: {text}")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30, help="how long (default: 30)")
    parser.add_argument(
        "--stage-minutes",
        type=float,
        default=MINUTES,
        help="how long with one set of schemas once its servers run (default: 3)",
    )
    parser.add_argument(
        "--statements", type=int, default=0, help="so many statements in each world of one stage, instead of a time"
    )
    parser.add_argument("--seed", default=secrets.token_hex(4), help="makes the same schemas and statements again")
    parser.add_argument("--pg", type=int, default=15, help="major version of the servers (default: 15)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    # Ended from outside, it still stops the servers and gates that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
