"""Tables and JSON of a corpus run. Not for: verdicts (`judge`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from corpus.judge import FAILURES, SKIPPED, WORKING, Verdict

_REMARK_LETTERS = 150


def print_verdicts(title: str, verdicts: Sequence[Verdict], *, verbose: bool = False) -> None:
    """One line per case, failures with all their remarks."""
    print(f"\n== {title}")
    for item in verdicts:
        failed = item.verdict in FAILURES
        if not (failed or verbose or item.form == "as written"):
            continue
        form = "" if item.form == "as written" else f" [{item.form}]"
        remark = item.remarks[0][:_REMARK_LETTERS] if item.remarks else ""
        print(f"{item.case:<8} {item.expect:<7} {item.verdict:<16}{form} {remark}".rstrip())
        for more in item.remarks[1:] if failed else ():
            print(f"{'':<34}{more[:_REMARK_LETTERS]}")


def print_counts(title: str, verdicts: Iterable[Verdict]) -> None:
    """How many of each verdict, by form."""
    forms: dict[str, Counter[str]] = {}
    for item in verdicts:
        forms.setdefault(item.form, Counter())[item.verdict] += 1
    print(f"\n== {title}: counts")
    for form, counts in forms.items():
        print(f"{form:<24} " + ", ".join(f"{n} {verdict}" for verdict, n in counts.most_common()))


def working_share(verdicts: Sequence[Verdict]) -> float:
    """Share of the benign cases that work, of those not skipped, in all forms played."""
    asked = [v for v in verdicts if v.verdict != SKIPPED]
    return sum(v.verdict == WORKING for v in asked) / len(asked) if asked else 0.0


def write_json(path: Path, verdicts: Iterable[Verdict]) -> None:
    """All verdicts, one object each."""
    path.write_text(json.dumps([asdict(v) for v in verdicts], indent=1) + "\n", encoding="utf-8")
