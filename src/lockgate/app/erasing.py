"""Persons and erasure, composed: tokens of the blind index, and destroying keys of texts, with or without a running gate.

For: `lockgate log search --person` and `lockgate log erase`.
Not for: what is stored where (`lockgate.storage`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lockgate.app.evidence import key_bytes, logs_of, open_ledger, workers_with_logs
from lockgate.config.settings import Settings
from lockgate.errors import ConfigError, GateUnreachableError, LedgerError
from lockgate.ledger.persons import VALUE_CHARS_MIN, PersonIndex
from lockgate.storage import text_keys
from lockgate.storage.erasure import texts_of_person
from lockgate.storage.port import RealFiles
from lockgate.transport.control_socket import ask_gate

NAMES_IN_ENTRY = 500


# -- persons ----------------------------------------------------------------------------------------------------------------


def person_token(settings: Settings, value: str) -> str:
    """The blind index's token of a value.

    Raises:
        ConfigError: the value is too short to be indexed.
    """
    token = PersonIndex(key_bytes(settings.files.keys / "person.key")).token(value)
    if not token:
        raise ConfigError(f"a value needs at least {VALUE_CHARS_MIN} letters or digits to be in the index")
    return token


# -- erasing ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Erasure:
    """What is to be destroyed: keys by id, or single texts by name with their slots, and the fields of its entries."""

    fields: Mapping[str, object]
    keys: tuple[str, ...] = ()
    slots: Mapping[str, tuple[str, int]] | None = None

    @property
    def size(self) -> int:
        """How many keys or texts it concerns."""
        return len(self.keys) + len(self.slots or {})

    def entries(self, event: str) -> Iterator[dict[str, object]]:
        """The `erasure` entries of an event, in pieces that fit."""
        names = list(self.keys or self.slots or ())
        field = "keys" if self.keys else "texts"
        for start in range(0, max(len(names), 1), NAMES_IN_ENTRY):
            piece = {field: names[start : start + NAMES_IN_ENTRY]} if names else {}
            yield {"kind": "erasure", "event": event, **self.fields, **piece}


def erasure_of_days(settings: Settings, *, database: str, dataset: str, day: str, before: str) -> Erasure:
    """What erasing a day, a class, a database, or all days before one concerns."""
    fields = {"database": database, "dataset": dataset, "day": day, "before": before}
    names = text_keys.matching_keys(folder=_keys(settings), files=RealFiles(), database=database, dataset=dataset, day=day,
                                    before=before)  # fmt: skip
    return Erasure({k: v for k, v in fields.items() if v}, keys=tuple(names))


def erasure_of_person(settings: Settings, value: str) -> Erasure:
    """What erasing every text that names a person concerns."""
    token = person_token(settings, value)
    found = texts_of_person(list(logs_of(settings).folders().values()), RealFiles(), token)
    return Erasure({"person": token, "statements": found.statements}, slots=found.slots)


def erase(settings: Settings, erasure: Erasure, *, by: str, reason: str) -> None:
    """Record that it begins, destroy, record that it is done; a repetition after a crash finds nothing left and does no harm.

    Raises:
        LedgerError: it could not be recorded; nothing was destroyed when that was the first entry.
    """
    files, folder = RealFiles(), _keys(settings)
    erasure = Erasure({**erasure.fields, "by": by, "reason": reason}, erasure.keys, erasure.slots)
    _recorded(settings, list(erasure.entries("begun")))
    text_keys.destroy_keys(folder=folder, files=files, names=erasure.keys)
    text_keys.destroy_slots(folder=folder, files=files, slots=tuple((erasure.slots or {}).values()))
    text_keys.announce_erasure(folder=folder, files=files, stamp=os.urandom(8).hex().encode())
    _recorded(settings, list(erasure.entries("done")))


def _keys(settings: Settings) -> str:
    return text_keys.keys_folder(f"{settings.files.ledger}/log")  # beside the logs, and common to them


def _recorded(settings: Settings, entries: Sequence[Mapping[str, object]]) -> None:
    """Make entries durable in the log of every worker, since each has texts under these keys.

    The running gate writes them; a log that no worker of it has open, or all when none runs, is opened here.
    """
    written: list[str] = []
    for entry in entries:
        written = _through_gate(settings, entry)
    for worker in workers_with_logs(settings):
        if worker in written:
            continue
        log, _ = open_ledger(settings, worker=worker)
        try:
            for entry in entries:
                log.append(entry)
            if log.commit().failed:
                raise LedgerError("the erasure could not be recorded")
        finally:
            log.close()


def _through_gate(settings: Settings, entry: Mapping[str, object]) -> list[str]:
    """Have the running gate record an entry; the workers that did, none when no gate runs."""
    if not settings.gateway.control_socket.exists():
        return []
    try:
        answer = ask_gate(settings.gateway.control_socket, {"op": "log-erasure", "fields": dict(entry)})
    except GateUnreachableError:
        return []  # what a killed gate left behind; opening its logs says whether one runs
    result = answer.get("result")
    if not answer.get("ok") or not isinstance(result, dict):
        raise LedgerError(f"the gate did not record the erasure: {answer.get('message')}")
    return [str(worker) for worker in result]
