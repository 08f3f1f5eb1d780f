"""Run the corpora through real gates before twin databases: `run.py CORPUSDIR`.

For: `make corpus`. CORPUSDIR has `masking_attacks.sql` and `masking_benign.sql`; a schema of our own is played beside them.
Exit status: 0 when nothing leaked, differed or came out wrong; 1 otherwise; 2 when the corpus cannot be read.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from corpus.cases import Case, read_cases, read_setup
from corpus.fifth import fifth_cases, fifth_work, fifth_world
from corpus.forms import FORMS
from corpus.judge import FAILURES, REFUSED, WORKING, Judge, Verdict
from corpus.music import music_cases, music_world
from corpus.report import print_counts, print_verdicts, working_share, write_json
from corpus.second import second_cases, second_world
from corpus.sixth import sixth_cases, sixth_work, sixth_world
from corpus.stage import Stage
from corpus.third import third_benign, third_cases, third_world
from corpus.twins import World, corpus_world

PROGRESS = 50


def main(arguments: list[str] | None = None) -> int:
    """Run everything that was asked for and print it."""
    options = _options(arguments)
    attacks, benign = options.corpus / "masking_attacks.sql", options.corpus / "masking_benign.sql"
    if not attacks.exists() or not benign.exists():
        print(f"{options.corpus}: masking_attacks.sql and masking_benign.sql are not both there", file=sys.stderr)
        return 2
    world = corpus_world(read_setup(attacks))
    benign_cases = read_cases(benign)
    if options.pg >= 18:
        world = with_vector(world, benign_cases)
    second, third, music, fifth, sixth = second_world(), third_world(), music_world(), fifth_world(), sixth_world()
    with Stage([world, second, third, music, fifth, sixth], major=options.pg, seed=options.seed) as stage:
        for line in stage.x.unreadable:
            print(f"not readable through the gate, so without learned masks: {line}")
        contradictions = sorted({line for pairs in stage.pairs.values() for line in pairs.contradictions})
        for line in contradictions:
            print(f"masks are not one-to-one: {line}")
        judge = Judge(stage, world, direct=options.direct)
        found = {
            "attacks": play(judge, chosen(read_cases(attacks), options.only), attack=True, matrix=options.matrix),
            "attacks on a second schema": play(
                Judge(stage, second, direct=options.direct),
                chosen(second_cases(), options.only),
                attack=True,
                matrix=options.matrix,
            ),
            "attacks on a third schema": play(
                Judge(stage, third, direct=options.direct),
                chosen(third_cases(), options.only),
                attack=True,
                matrix=options.matrix,
            ),
            "attacks on a fifth schema": play(
                Judge(stage, fifth, direct=options.direct),
                chosen(fifth_cases(options.pg), options.only),
                attack=True,
                matrix=options.matrix,
            ),
            "attacks on a sixth schema": play(
                Judge(stage, sixth, direct=options.direct),
                chosen(sixth_cases(options.pg), options.only),
                attack=True,
                matrix=options.matrix,
            ),
            "benign": []
            if options.direct
            else play(judge, chosen(benign_cases, options.only), attack=False, matrix=options.matrix),
            "benign on a third schema": []
            if options.direct
            else play(Judge(stage, third), chosen(third_benign(), options.only), attack=False, matrix=options.matrix),
            "ordinary work on a fourth schema": []
            if options.direct
            else play(Judge(stage, music), chosen(music_cases(), options.only), attack=False, matrix=options.matrix),
            "ordinary work on a fifth schema": []
            if options.direct
            else play(
                Judge(stage, fifth), chosen(fifth_work(options.pg), options.only), attack=False, matrix=options.matrix
            ),
            "ordinary work on a sixth schema": []
            if options.direct
            else play(
                Judge(stage, sixth), chosen(sixth_work(options.pg), options.only), attack=False, matrix=options.matrix
            ),
        }
        if any(twin.gate.process is not None and twin.gate.process.poll() is not None for twin in (stage.x, stage.y)):
            print("a gate has ended by itself")
            return 1
    return summarise(found, options) or int(bool(contradictions))


def summarise(found: dict[str, list[Verdict]], options: argparse.Namespace) -> int:
    """Print tables and counts; returns the exit status."""
    for title, verdicts in found.items():
        print_verdicts(title, verdicts, verbose=options.verbose)
    for title, verdicts in found.items():
        print_counts(title, verdicts)
    everything = [v for verdicts in found.values() for v in verdicts]
    if options.json:
        write_json(options.json, everything)
    failures = [v for v in everything if v.verdict in FAILURES]
    for title, verdicts in found.items():
        if (
            verdicts
            and verdicts[0].expect in ("CLEAR", "MASK")
            and any(v.verdict in (WORKING, REFUSED) for v in verdicts)
        ):
            print(f"{title}: {working_share(verdicts):.1%} work")
    print(f"failures: {len(failures)}")
    return 1 if failures else 0


def play(judge: Judge, cases: list[Case], *, attack: bool, matrix: bool) -> list[Verdict]:
    """Each case as written, and with `matrix` in every further form that fits it."""
    verdicts: list[Verdict] = []
    one = judge.attack if attack else judge.benign
    for number, case in enumerate(cases, 1):
        forms = FORMS.items() if matrix and (not case.special or case.protocol.extended) else ()
        played = [one(case), *(one(case.with_protocol(**changes), form) for form, changes in forms)]
        verdicts += played
        for verdict in played:
            if verdict.verdict in FAILURES or (not attack and verdict.verdict == REFUSED):
                print(f"  {verdict.case} ({verdict.form}): {verdict.verdict}: {verdict.remarks}", flush=True)
        if number % PROGRESS == 0:
            print(f"  {number} of {len(cases)} cases", flush=True)
    return verdicts


def chosen(cases: list[Case], only: list[str]) -> list[Case]:
    """The cases named, all when none is."""
    return [case for case in cases if not only or case.name in only]


def with_vector(world: World, benign: list[Case]) -> World:
    """The world with the extension `vector` and what the benign cases need of it."""
    owner = [s for case in benign if "run once by the owner" in case.note for s in case.statements]
    return world.extended("CREATE EXTENSION vector;\n" + ";\n".join(owner) + ";\n", {"docs": "id"})


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path, metavar="CORPUSDIR")
    parser.add_argument(
        "--pg", type=int, default=15, choices=(14, 15, 16, 17, 18), help="major version of the servers (default: 15)"
    )
    parser.add_argument("--matrix", action="store_true", help="every case in every form of the protocol")
    parser.add_argument("--only", action="append", default=[], metavar="CASE", help="only this case; may be repeated")
    parser.add_argument(
        "--direct", action="store_true", help="past the gate, to see that the checks find what it would stop"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the twin's values")
    parser.add_argument("--verbose", action="store_true", help="every form of every case, not only those that failed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all verdicts")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    # Ended from outside, it still stops the servers and gates that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
