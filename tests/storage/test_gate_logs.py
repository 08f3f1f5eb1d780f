"""A disk that was set back: nothing is signed under the old name, and every log of the gate goes on in a successor that names it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from lockgate.control.witnessing import Witnessing
from lockgate.errors import CorruptLedgerError, LedgerError
from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.entry import decode
from lockgate.storage.ledger_log import LedgerLog
from lockgate.storage.ledger_reader import entries
from lockgate.testing.crash_files import CrashFiles
from support.crash_world import ORG, POLICY, World
from support.verifying import verify


def anchored(world: World, count: int) -> None:
    """A life that writes `count` entries, and has them witnessed."""
    worker = world.worker("1")
    org = world.org()
    for number in range(count):
        worker.append({"kind": "intent", "request": number})
    worker.commit()
    worker.integrate()
    org.gather()
    result = Witnessing(POLICY, world.ask, org.consistency).round(org.publish())
    assert result.satisfied
    org.cosigned(result.note)
    world.files.kill()


def known(world: World) -> None:
    world.logs.check_org(lambda note: Witnessing(POLICY, world.ask, world.logs.org_consistency).round(note).known)


def contents(files: CrashFiles, folder: str, target: Path) -> dict[str, bytes]:
    files.dump(target)
    root = target / folder
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name != "lock"}


def stored(files: CrashFiles, folder: str) -> list[dict[str, object]]:
    return [dict(decode(entry)) for _, entry in entries(folder, files)]


def opened(world: World) -> LedgerLog:
    known(world)
    return world.worker("1")


def test_an_old_image_of_the_machine_is_not_signed_over(tmp_path: Path) -> None:
    world = World(1)
    anchored(world, 3)
    image = world.files.image()
    anchored(world, 5)
    world.files = image
    before = {name: contents(world.files, f"log/gate-1-{name}", tmp_path / "before") for name in ("1", "org")}
    log = opened(world)
    assert (log.origin, log.size) == ("gate-1/1~2", 1)
    org = world.org()
    assert org.origin == "gate-1/org~2"
    after = {name: contents(world.files, f"log/gate-1-{name}", tmp_path / "after") for name in ("1", "org")}
    assert after == before, "the old logs are as the disk had them"
    boot = stored(world.files, "log/gate-1-1~2")[0]
    assert boot["succeeds"] == {"origin": "gate-1/1", "size": 4, "root": boot["succeeds"]["root"]}  # type: ignore[index]
    because = {"reason": "rolled-back", "log": "gate-1/org", "entries": 2, "known": 4}
    assert boot["because"] == because
    assert stored(world.files, "log/gate-1-org~2")[0]["because"] == because
    log.close()
    org.gather()
    result = Witnessing(POLICY, world.ask, org.consistency).round(org.publish())
    assert result.satisfied, "the witness follows the successor"
    org.close()
    world.files.dump(tmp_path / "end")
    for name in ("1~2", "org~2"):
        assert verify(tmp_path / "end" / f"log/gate-1-{name}", ORG.renamed(f"gate-1/{name}").vkey).findings == []


def test_an_image_without_anything_new_behind_it_goes_on() -> None:
    world = World(1)
    anchored(world, 3)
    world.files = world.files.image()
    assert opened(world).origin == "gate-1/1"


def test_one_workers_folder_set_back_is_known_from_the_org_log(tmp_path: Path) -> None:
    world = World(1)
    anchored(world, 3)
    image = world.files.image()
    anchored(world, 5)
    world.files.graft(image, "log/gate-1-1")
    before = contents(world.files, "log/gate-1-1", tmp_path / "before")
    log = opened(world)
    assert log.origin == "gate-1/1~2"
    after = contents(world.files, "log/gate-1-1", tmp_path / "after")
    assert after.pop("checkpoints/4") == before["checkpoint"], "kept under its size, as at every start"
    assert after == before
    assert stored(world.files, "log/gate-1-1~2")[0]["because"] == {
        "reason": "rolled-back", "log": "gate-1/1", "entries": 4, "known": 13,
    }  # fmt: skip


def test_entries_that_only_the_write_ahead_log_has_are_not_missing() -> None:
    def reopened(floor: int) -> LedgerLog:
        world = World(1)
        log = world.worker("1")
        for number in range(5):
            log.append({"kind": "intent", "request": number})
        log.commit()
        world.files.crash()
        return LedgerLog.open(
            "log/gate-1-1", origin="gate-1/1", signer=ORG.renamed("gate-1/1"), files=world.files, text_key=bytes(32), clock=world.clock,
            entropy=bytes, segment_bytes=4096, floor=Checkpoint("gate-1/1", floor, bytes(32)),
        )  # fmt: skip

    assert reopened(6).size == 6 + 1 + 5
    with pytest.raises(CorruptLedgerError, match="rolled-back"):
        reopened(7)


def test_two_who_notice_at_once_begin_one_succession() -> None:
    world = World(1)
    anchored(world, 3)
    logs = world.logs
    assert logs.succeed(1, origin="gate-1/org", size=2, known=9) == 2
    assert logs.succeed(1, origin="gate-1/1", size=4, known=9) == 2
    assert logs.succeed(2, origin="gate-1/org~2", size=4, known=9) == 3
    assert logs.origin("1") == "gate-1/1~3"


def test_a_number_that_cannot_be_read_or_written_stops_the_gate() -> None:
    world = World(1)
    anchored(world, 3)
    world.files.fail("write", errno.EIO)
    with pytest.raises(LedgerError):
        world.logs.succeed(1, origin="gate-1/org", size=2, known=9)
    assert world.logs.number == 1
    handle = world.files.open_append("log/gate-1.succession")
    world.files.write(handle, b"garbage", 0)
    with pytest.raises(LedgerError, match="cannot be read"):
        world.worker("1")
