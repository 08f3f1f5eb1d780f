"""A witness, composed: keys, remembered heads and the listener.

For: `lockgate witness`, run by somebody else than who runs the gate.
Not for: the gate; a witness needs no configuration of one, only its public key.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from lockgate.config.settings import Address
from lockgate.errors import ConfigError, LedgerError
from lockgate.ledger.cosignature import SEED_BYTES, Algorithm, Cosigner
from lockgate.ledger.note import VerificationKey
from lockgate.ledger.witness import Refusal, examine
from lockgate.storage.port import RealFiles
from lockgate.storage.witness_state import WitnessState
from lockgate.transport.witness_http import HttpAnswer, serve_witness

_FILES = {Algorithm.ED25519: "ed25519.key", Algorithm.MLDSA44: "mldsa44.key"}


def cosigners(folder: Path, name: str | None) -> list[Cosigner]:
    """The witness's two keys; made at the first start, when it is given its name.

    Raises:
        ConfigError: a key is missing, readable by others, not a key, or has another name.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = []
    for algorithm, file in _FILES.items():
        path = folder / file
        if not path.exists():
            if name is None:
                raise ConfigError(f"{path}:1: is missing; a new witness needs `--name`, such as `witness.example/w1`")
            made = Cosigner(name, algorithm, secrets.token_bytes(SEED_BYTES))
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
                stream.write(made.skey + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path}:1: is readable by others; run `chmod 600` on it")
        try:
            found.append(Cosigner.from_skey(path.read_text()))
        except (LedgerError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}:1: is not a witness's key: {error}") from None
        if name not in {None, found[-1].key.name}:
            raise ConfigError(f"{path}:1: is the key of `{found[-1].key.name}`; leave `--name` out")
    return found


def watched(files: Iterable[Path]) -> dict[str, list[VerificationKey]]:
    """Keys of the logs to watch, by origin, from files like `org.pub`, one key a line.

    Raises:
        ConfigError: a file cannot be read or has no key.
    """
    keys: dict[str, list[VerificationKey]] = {}
    for path in files:
        try:
            lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
            for line in lines:
                key = VerificationKey.from_text(line)
                keys.setdefault(key.name, []).append(key)
        except (OSError, UnicodeDecodeError, LedgerError) as error:
            raise ConfigError(f"{path}:1: is not a log's public key: {error}") from None
    if not keys:
        raise ConfigError("no log to watch; give a gate's `keys/org.pub` with `--log`")
    return keys


def policy_text(keys: Iterable[Cosigner], url: str) -> str:
    """The lines of a trust policy that stand for this witness: either of its cosignatures vouches, so that receipts stay small."""
    lines, names = [], []
    for cosigner in keys:
        short = f"{cosigner.key.name}-{cosigner.key.algorithm.name.lower()}"
        names.append(short)
        lines.append(f"witness {short} {cosigner.key.vkey} {url}")
    first = names[0].rsplit("-", 1)[0]
    return "\n".join([*lines, f"group {first} any {' '.join(names)}", f"quorum {first}", ""])


class Witness:
    """One witness: it answers what `examine` found, and remembers before it cosigns."""

    def __init__(self, state: WitnessState, known: dict[str, list[VerificationKey]], keys: list[Cosigner]) -> None:
        self._state = state
        self._known = known
        self._keys = keys

    def handle(self, method: str, path: str, body: bytes) -> HttpAnswer:
        """Answer one request."""
        if method == "GET" and path.rsplit("/", 1)[0].endswith("/heads"):
            note = self._state.note(path.rsplit("/", 1)[1])
            return HttpAnswer(404, body=b"no such head\n") if note is None else HttpAnswer(200, body=note)
        if not path.endswith("/add-checkpoint"):
            return HttpAnswer(404, body=b"not found\n")
        if method != "POST":
            return HttpAnswer(405, body=b"only POST\n")
        found = examine(body, self._known, self._state.heads)
        if isinstance(found, Refusal):
            if found.reason not in {"malformed", "unknown-log"}:
                _say("refused", reason=found.reason, status=found.status)
            return HttpAnswer(found.status, found.content_type, found.body.encode())
        submission, head = found
        new = head.origin not in self._state.heads
        try:
            self._state.store(head, submission.note)
        except OSError as error:
            _say("not-stored", error=error.errno or 0)
            return HttpAnswer(500, body=b"the witness cannot remember the checkpoint\n")
        if new:
            _say("new-log", origin=head.origin, size=head.size)
        text = submission.note.decode().rpartition("\n\n")[0] + "\n"
        lines = "".join(cosigner.cosign(text, int(time.time())).text for cosigner in self._keys)
        return HttpAnswer(200, body=lines.encode())


def _say(event: str, **facts: object) -> None:
    sys.stderr.write(json.dumps({"event": f"witness-{event}", **facts}) + "\n")
    sys.stderr.flush()


def serve(folder: Path, *, name: str | None, logs: Iterable[Path], listen: Address, url: str | None) -> None:
    """Run a witness until it is told to stop; its first line of output is JSON with the address and the policy lines.

    Raises:
        ConfigError: something cannot be used; nothing has started.
    """
    known = watched(logs)
    keys = cosigners(folder, name)
    state = WitnessState(str(folder), RealFiles())
    witness = Witness(state, known, keys)

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            server = await serve_witness(listen.host, listen.port, witness.handle)
        except OSError as error:
            raise ConfigError(f"--listen: {listen} cannot be listened on: {error.strerror}") from error
        host, port = server.sockets[0].getsockname()[:2]
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        policy = policy_text(keys, url or f"http://{place}")
        sys.stdout.write(json.dumps({"ready": True, "listen": place, "policy": policy}) + "\n")
        sys.stdout.flush()
        await stop.wait()
        server.close()

    try:
        asyncio.run(main())
    finally:
        state.close()
