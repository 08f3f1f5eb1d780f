"""What it costs to seal a statement's text, beside the cipher alone: `python bench/sealing.py`.

For: the figures in ADR 15. Not for: what a statement costs as a whole, which bench/run.py measures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lockgate.storage.text_keys import TextKeys
from lockgate.testing.crash_files import CrashFiles

COUNT = 50_000
PLAIN = b"SELECT id, total FROM orders WHERE region = 'EU' AND state IN ('new', 'open') ORDER BY id LIMIT 100 -- %d"
PERSON = b"SELECT id, note FROM people WHERE email = 'person%d@example.com'"
DAY = "2026-11-22"


def per_call(work: Callable[[int], object]) -> float:
    """CPU microseconds of one call; the best of three rounds."""
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        for number in range(COUNT):
            work(number)
        best = min(best, (time.process_time() - began) / COUNT * 1e6)
    return best


def main() -> None:
    """Measure and print."""
    cipher = AESGCM(bytes(32))
    keys = TextKeys(
        folder="keys", files=CrashFiles(), text_key=bytes(32), entropy=os.urandom, person_key=bytes(range(32))
    )
    alone = per_call(lambda n: cipher.encrypt(os.urandom(12), PLAIN % n, b"label"))
    print("| what | CPU us | over the cipher alone |")
    print("| --- | --- | --- |")
    for name, work in (
        ("the cipher alone", None),
        ("a text without labelled data", lambda n: keys.seal("shop", DAY, PLAIN % n)),
        ("the same text again", lambda _: keys.seal("shop", DAY, PLAIN)),
        ("a text that names a person", lambda n: keys.seal("shop", DAY, PERSON % n, ("person",))),
    ):
        value = alone if work is None else per_call(work)
        print(f"| {name} | {value:.1f} | {value / alone:.1f} |")


if __name__ == "__main__":
    main()
