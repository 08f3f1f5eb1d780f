"""The first and the later sights of a statement: microseconds over what the peers need for the same text.

One command: `python bench/sights.py`. First sights (a text that no one has sent) are compared with a direct link, later ones with a plain TCP relay
where one is installed. The kinds: nothing labelled; masked where it stands (mode P); computed over stand-ins (mode S). Nothing here asserts a time.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from places import gate_place

from lockgate.wire.postgres import frontend as fe
from masking import HIDDEN, Reader, everything

KINDS = {
    "nothing labelled": "SELECT a AS n{0}, b FROM orders WHERE id = 7",
    "masked": "SELECT email AS n{0}, phone FROM orders WHERE id = 7",
    "over stand-ins": "SELECT lower(email) AS n{0}, a FROM orders WHERE id = 7",
}


def timed(reader: Reader, text: str) -> float:
    """Microseconds of one statement."""
    begun = time.perf_counter()
    reader.ask(fe.Query(text).encode())
    return (time.perf_counter() - begun) * 1e6


def main() -> int:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    shuffled, numbers = random.Random(7), iter(range(10**6))
    with everything(2000, relay=True) as (gates, direct, relays):
        places = {"direct": direct, **{place.name: place for place in relays}}
        for core, gate in gates.items():
            places[core] = gate_place(core, gate, HIDDEN)
        readers = {name: Reader(place) for name, place in places.items()}
        first: dict[str, dict[str, list[float]]] = {}
        later: dict[str, dict[str, list[float]]] = {}
        used: dict[str, dict[str, list[float]]] = {}
        for kind, text in KINDS.items():
            for number in range(options.rounds):
                for name in shuffled.sample(list(readers), len(readers)):
                    fresh = text.format(next(numbers))
                    took = timed(readers[name], fresh)
                    if number > 4:
                        first.setdefault(kind, {}).setdefault(name, []).append(took)
                    again = text.format("")
                    if number < 5:
                        timed(readers[name], again)
                        continue
                    before = places[name].cpu_seconds()
                    later.setdefault(kind, {}).setdefault(name, []).append(
                        statistics.median(timed(readers[name], again) for _ in range(40))
                    )
                    used.setdefault(kind, {}).setdefault(name, []).append(
                        (places[name].cpu_seconds() - before) * 1e6 / 40
                    )
    _table("first sight: microseconds over direct", first, "direct")
    _table("later sights: microseconds over a relay", later, relays[0].name if relays else "direct")
    print("later sights, processor microseconds of the process between:")
    for kind, row in used.items():
        print(
            "  "
            + kind
            + ": "
            + ", ".join(f"{name} {statistics.mean(values):.0f}" for name, values in row.items() if name != "direct")
        )
    return 0


def _table(title: str, found: dict[str, dict[str, list[float]]], base: str) -> None:
    names = [name for name in next(iter(found.values())) if name != base]
    print(f"| {title} | " + " | ".join(names) + " |\n| --- |" + " --- |" * len(names))
    for kind, row in found.items():
        cells = [f"{statistics.median(a - b for a, b in zip(row[name], row[base], strict=True)):.0f}" for name in names]
        print(f"| {kind} | " + " | ".join(cells) + " |")
    print()


if __name__ == "__main__":
    sys.exit(main())
