"""Copies in an S3 service on this machine, with object lock: complete, verifiable, and not to be removed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from lockgate.errors import CorruptLedgerError, LedgerError
from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.note import split_note
from lockgate.storage.mirror import Mirror, S3Bucket
from lockgate.storage.pruning import cut, prune
from lockgate.testing.crash_files import CrashFiles
from support.crash_world import ORG, World
from support.verifying import verify

REGION = "us-east-1"


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def client(service: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    return boto3.client("s3", endpoint_url=service, region_name=REGION)


@pytest.fixture
def bucket(client, service: str) -> S3Bucket:  # type: ignore[no-untyped-def]
    name = f"evidence-{datetime.now(UTC).timestamp():.6f}"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    made = S3Bucket(name, prefix="gates/one", endpoint=service, region=REGION)
    made.name = name  # type: ignore[attr-defined]
    return made


def mirror(files: CrashFiles, bucket: S3Bucket) -> Mirror:
    return Mirror("log", files, bucket, lambda: datetime.now(UTC), timedelta(days=30))


def work(world: World, count: int) -> None:
    """A life of a worker with so many statements, and of the org log."""
    log = world.worker("1")
    for number in range(count):
        text = b"select %d -- " % number + (b"x" * 70_000 if number % 100 == 7 else b"")
        log.append({"kind": "intent", "request": number, "text": log.seal_text("db", text).name, "database": "db"})
        if number % 64 == 63:
            log.commit()
            log.integrate()
    log.close()
    org = world.org()
    org.gather()
    org.publish()
    org.close()


def fetched(client, name: str, target: Path) -> Path:  # type: ignore[no-untyped-def]
    """Everything in the bucket, as files."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
        for item in page["Contents"]:
            path = target / item["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(client.get_object(Bucket=name, Key=item["Key"])["Body"].read())
    return target / "gates" / "one"


def test_a_copy_can_be_verified_by_a_stranger_after_every_round(client, bucket: S3Bucket, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    world = World(3)
    for number, count in enumerate((3, 250, 300)):
        work(world, count)
        assert mirror(world.files, bucket).round() > 0
        assert mirror(world.files, bucket).round() == 0, "nothing is copied twice"
        copy = fetched(client, bucket.name, tmp_path / str(number))  # type: ignore[attr-defined]
        for name in ("1", "org"):
            report = verify(copy / f"gate-1-{name}", ORG.renamed(f"gate-1/{name}").vkey)
            assert report.findings == []
            head = Checkpoint.parse(split_note(world.files.read(f"log/gate-1-{name}/checkpoint"))[0])
            assert report.size == head.size


def test_what_is_copied_cannot_be_removed(client, bucket: S3Bucket) -> None:  # type: ignore[no-untyped-def]
    world = World(3)
    work(world, 10)
    mirror(world.files, bucket).round()
    name: str = bucket.name  # type: ignore[attr-defined]
    versions = client.list_object_versions(Bucket=name)["Versions"]
    assert versions
    for version in versions:
        facts = client.head_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])
        assert facts["ObjectLockMode"] == "COMPLIANCE"
        assert facts["ObjectLockRetainUntilDate"] > datetime.now(UTC) + timedelta(days=29)
        with pytest.raises(ClientError):
            client.delete_object(
                Bucket=name, Key=version["Key"], VersionId=version["VersionId"], BypassGovernanceRetention=True
            )


def test_a_copy_that_was_cut_off_is_gone_on_with(bucket: S3Bucket) -> None:
    world = World(3)
    work(world, 300)
    stored: list[str] = []

    class Failing:
        def put(self, key: str, body: bytes, until: datetime) -> None:
            if len(stored) == 3:
                raise LedgerError("away")
            stored.append(key)
            bucket.put(key, body, until)

    with pytest.raises(LedgerError, match="away"):
        Mirror("log", world.files, Failing(), lambda: datetime.now(UTC), timedelta(days=1)).round()
    assert not any(key.endswith("checkpoint") for key in stored), "the checkpoint comes last"
    assert mirror(world.files, bucket).round() > 3


def test_a_log_that_was_set_back_is_not_copied_over(bucket: S3Bucket) -> None:
    world = World(3)
    work(world, 10)
    image = world.files.image()
    work(world, 10)
    mirror(world.files, bucket).round()
    world.files.graft(image, "log/gate-1-1/checkpoint")
    other = world.worker("2")
    other.append({"kind": "admin", "event": "later"})
    other.close()
    with pytest.raises(CorruptLedgerError, match="more of"):
        mirror(world.files, bucket).round()
    assert b'"size"' in world.files.read("log/gate-1-2/mirrored"), "the other logs are copied all the same"


def test_a_pruned_log_goes_on(bucket: S3Bucket) -> None:
    world = World(3)
    work(world, 600)
    prune("log/gate-1-1", world.files, cut("log/gate-1-1", world.files, "3000"))
    assert mirror(world.files, bucket).round() > 0


def test_a_bucket_without_lock_or_out_of_reach_is_refused(client, service: str) -> None:  # type: ignore[no-untyped-def]
    client.create_bucket(Bucket="no-lock")
    with pytest.raises(LedgerError, match="no object lock"):
        S3Bucket("no-lock", endpoint=service, region=REGION)
    with pytest.raises(LedgerError, match="cannot be used"):
        S3Bucket("nobody-made-it", endpoint=service, region=REGION)
