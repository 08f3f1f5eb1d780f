# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True, embedsignature=True
"""The compiled lane: a session's two sockets in the steady state, from a readable socket to the bytes sent on, in C.

For: what `session.fast.FastLane` does for a message whose verdict it remembers, between `recv` and `send`, without Python in between.
Not for: remembering: `FastLane` is asked first, and what it took is taken here from then on. Whatever is not understood whole, plain and
quiet goes to it, or to the conversation, with every byte intact.
Invariant: a lane acts while it is `clean`: nothing of its session ran in Python since a fast round ended. Whoever touches the session in
Python calls `leave` first, which hands over what is under way. Every access to received bytes is checked against what was received.
Source: ADR 12, 14 and 17; epoll(7), recv(2), send(2); ssl documentation, non-blocking sockets.
"""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memmove
from cpython.buffer cimport PyBUF_READ, PyBUF_WRITE
from cpython.memoryview cimport PyMemoryView_FromMemory
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec
from ssl import SSLWantReadError, SSLWantWriteError
from time import gmtime

from lockgate.errors import BackendProtocolError, InvariantError, LedgerError
from lockgate.ledger.blob import SealedText

cdef extern from "sys/socket.h" nogil:
    ssize_t recv(int, void *, size_t, int)
    ssize_t send(int, const void *, size_t, int)
    int MSG_NOSIGNAL

cdef extern from "unistd.h" nogil:
    ssize_t pwrite(int, const void *, size_t, long long)
    int fdatasync(int)

cdef extern from "sys/epoll.h" nogil:
    cdef union epoll_data:
        int fd
    cdef struct epoll_event:
        uint32_t events
        epoll_data data
    int epoll_wait(int, epoll_event *, int, int)
    enum:
        EPOLLIN

cdef extern from "openssl/evp.h" nogil:
    ctypedef struct EVP_CIPHER_CTX:
        pass
    ctypedef struct EVP_CIPHER:
        pass
    ctypedef struct EVP_MD_CTX:
        pass
    ctypedef struct EVP_MD:
        pass
    EVP_CIPHER_CTX *EVP_CIPHER_CTX_new()
    void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *)
    const EVP_CIPHER *EVP_aes_256_gcm()
    int EVP_EncryptInit_ex(EVP_CIPHER_CTX *, const EVP_CIPHER *, void *, const unsigned char *, const unsigned char *)
    int EVP_EncryptUpdate(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int)
    int EVP_EncryptFinal_ex(EVP_CIPHER_CTX *, unsigned char *, int *)
    int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *, int, int, void *)
    int EVP_CTRL_AEAD_GET_TAG
    EVP_MD_CTX *EVP_MD_CTX_new()
    void EVP_MD_CTX_free(EVP_MD_CTX *)
    EVP_MD *EVP_MD_fetch(void *, const char *, const char *)
    int EVP_DigestInit_ex(EVP_MD_CTX *, const EVP_MD *, void *)
    int EVP_DigestUpdate(EVP_MD_CTX *, const void *, size_t)
    int EVP_DigestFinal_ex(EVP_MD_CTX *, unsigned char *, unsigned int *)

cdef extern from "zlib.h" nogil:
    unsigned long crc32(unsigned long, const unsigned char *, unsigned int)

cdef enum:
    NONCE = 12
    TAG = 16
    KEY = 32
    HASH = 32
    CACHED = 4096          # as `storage.text_keys` has it
    CACHED_MAX = 8192
    NONCES = 256           # taken from the source of entropy at once
    BUNDLE = 256           # hashes folded at once
    ROOM = 262144          # bytes read at once
    SLACK = 64             # for what is inserted
    RECORD = 16384         # most bytes of one record of TLS
    MORE = 4096            # a record as long as that is hardly the last one of what was sent
    EVENTS = 512
    HELD = 16              # turns at most in which no other thread can run
    LOOKS = 2              # turns at most that wait for the same commit
    ENTRY_MAX = 65535
    PAYLOAD_MAX = 16777216
    CONSTANTS = 64
    HOLES = 8
    RECEIPTS = 64          # remembered outcomes of a masked statement
    ROWS = 16              # most rows of one, as `session.fast` has it
    KNOWN = 1024           # statements of one session
    PARAMETERS_MAX = 65536
    NAME = 64              # characters of a sealed text's name
    STAMP = 27             # characters of a time
    NUMBER = 0
    TEXT = 1
    TIME = 2
    INLINE_MAX = 65536     # of a sealed text in the log's segment, as `storage.ledger_log` has it
    UNKNOWN_FILES = 0
    SYNCED = 1
    UNSYNCED = 2

cdef unsigned char ROOM_IN[ROOM + SLACK]
cdef unsigned char ENTRY[ENTRY_MAX + 1]
cdef unsigned char SKELETON[ROOM + SLACK]
cdef bytes EXECUTE_SYNC = b"E\x00\x00\x00\x09\x00\x00\x00\x00\x00S\x00\x00\x00\x04"
cdef bytes DESCRIBE = b"D\x00\x00\x00\x06P\x00"
cdef bytes PARSED = b"1\x00\x00\x00\x04"
cdef bytes BOUND = b"2\x00\x00\x00\x04"
cdef bytes NO_DATA = b"n\x00\x00\x00\x04"
cdef bytes INSERT = b"INSERT 0 "
cdef bytes UPDATE = b"UPDATE "
cdef bytes DELETE = b"DELETE "
cdef const char *HEX = "0123456789abcdef"
cdef object NEW_TUPLE = tuple.__new__
cdef unsigned long long turns = 0


include "_spans.pxi"


cdef inline bytes _bytes(const unsigned char *data, Py_ssize_t start, Py_ssize_t end, Py_ssize_t size):
    """A copy of a checked piece."""
    if not 0 <= start <= end <= size:
        raise InvariantError("a piece outside of what was received")
    return PyBytes_FromStringAndSize(<const char *>data + start, end - start)


# -- what two rooms share with lanes ------------------------------------------------------------------------------------------


cdef class LogState:
    """What a `LedgerLog` knows of its buffer and its size; its own attributes, where lanes reach them without asking."""

    cdef public list _buffer, _texts, _fresh, _fresh_texts
    cdef public long long _counter, _kept_bytes, _kept_bytes_max, _integrated, _settled
    cdef public str _last_time
    cdef public object _account, _intents, _writer
    cdef public bint _closed, healthy, suspended


cdef class Pace:
    """What a `Committer` knows of what waits for a commit."""

    cdef public bint _urgent, _scheduled, _planed
    cdef public double _lazy_until, _lazy_seconds
    cdef public long long durable, commits
    cdef public set _waiting


cdef bytes _joined(bytes text, const unsigned char *data, Py_ssize_t start, Py_ssize_t end, Py_ssize_t size):
    """A text, a zero byte, and a checked piece."""
    cdef Py_ssize_t length = PyBytes_GET_SIZE(text)
    cdef bytes made
    if not 0 <= start <= end <= size:
        raise InvariantError("a piece outside of what was received")
    made = PyBytes_FromStringAndSize(NULL, length + 1 + end - start)
    memcpy(PyBytes_AS_STRING(made), PyBytes_AS_STRING(text), length)
    PyBytes_AS_STRING(made)[length] = 0
    memcpy(PyBytes_AS_STRING(made) + length + 1, data + start, end - start)
    return made


# -- entries ------------------------------------------------------------------------------------------------------------------


cdef class Pattern:
    """A template's bytes between its holes."""

    cdef readonly object template
    cdef tuple pieces
    cdef int kinds[HOLES]
    cdef int holes
    cdef readonly bint is_outcome

    def __init__(self, template):
        self.template = template
        self.pieces = template.pieces
        self.holes = len(template.holes)
        if self.holes > HOLES or len(self.pieces) != self.holes + 1:
            raise InvariantError("a template with too many holes")
        self.is_outcome = template.names_intent
        if template.kind != ("outcome" if self.is_outcome else "intent"):
            raise InvariantError("only intents and outcomes are made here")
        for i, name in enumerate(template.holes):
            self.kinds[i] = TEXT if name == "text" else TIME if name == "time" else NUMBER

    cdef bytes fill(self, const long long *numbers, const char *name, const char *stamp):
        """The entry's bytes."""
        cdef Py_ssize_t at = 0, length
        cdef int i, j = 0, digits
        cdef bytes piece
        cdef unsigned long long rest
        cdef unsigned char reversed[24]
        for i in range(self.holes + 1):
            piece = <bytes?>self.pieces[i]
            length = PyBytes_GET_SIZE(piece)
            if at + length + NAME > ENTRY_MAX:
                raise LedgerError(f"an entry is longer than {ENTRY_MAX} bytes")
            memcpy(ENTRY + at, PyBytes_AS_STRING(piece), length)
            at += length
            if i == self.holes:
                break
            if self.kinds[i] == TEXT:
                memcpy(ENTRY + at, name, NAME)
                at += NAME
            elif self.kinds[i] == TIME:
                memcpy(ENTRY + at, stamp, STAMP)
                at += STAMP
            else:
                if numbers[j] < 0:
                    raise InvariantError("a number of an entry is negative")
                rest, digits = <unsigned long long>numbers[j], 0
                j += 1
                if at + 24 > ENTRY_MAX:
                    raise LedgerError(f"an entry is longer than {ENTRY_MAX} bytes")
                while True:
                    reversed[digits] = 48 + rest % 10
                    digits += 1
                    rest //= 10
                    if not rest:
                        break
                while digits:
                    digits -= 1
                    ENTRY[at] = reversed[digits]
                    at += 1
        return PyBytes_FromStringAndSize(<char *>ENTRY, at)


@cython.no_gc
cdef class Buffered:
    """An entry that has an index but is not durable (as `storage.ledger_log` keeps it); its fields are made when they are asked for."""

    cdef public bytes encoded
    cdef public bint keep
    cdef public object template
    cdef object given
    cdef Pattern pattern
    cdef long long numbers[HOLES]
    cdef bytes name
    cdef bytes stamp

    @property
    def values(self):
        """Values of the template's holes."""
        cdef int i, j = 0
        found = []
        for i in range(self.pattern.holes):
            if self.pattern.kinds[i] == TEXT:
                found.append(self.name)
            elif self.pattern.kinds[i] == TIME:
                found.append(self.stamp)
            else:
                found.append(self.numbers[j])
                j += 1
        return tuple(found)

    @property
    def fields(self):
        """The entry's fields, which may be changed before it is encoded again."""
        if self.given is None:
            self.given = self.pattern.template.fields(self.values)
        return self.given


cdef class Ledger:
    """Where lanes append entries: the buffer of a `LedgerLog`, committed by a `Committer`.

    Args:
        committer, log: whose buffer it is.
        clock, ticks: microseconds since 1970, and microseconds that only grow, for tests; the machine's own when None.
    """

    cdef readonly Pace committer
    cdef LogState log
    cdef object keys, clock, ticks
    cdef int files
    cdef object counters
    cdef long long decided, completed
    cdef bytes nonces
    cdef Py_ssize_t nonce_at
    cdef char day[10]
    cdef str day_text
    cdef dict ciphers
    cdef dict sealers
    cdef dict sealed
    cdef list withholding
    cdef long long second
    cdef char stamp[STAMP + 1]
    cdef str stamp_text

    def __init__(self, Pace committer not None, LogState log not None, clock=None, ticks=None):
        self.committer, self.log, self.clock, self.ticks = committer, log, clock, ticks
        self.keys = log.text_keys
        self.files = UNKNOWN_FILES if log.direct is None else SYNCED if log.direct else UNSYNCED
        self.nonces, self.sealers, self.withholding = b"", {}, []
        self.second = -1

    def release(self, long long durable):
        """Forward the writes whose intents are durable after a commit; the lanes whose intents could not be written."""
        cdef Lane lane
        if not self.withholding:
            return ()
        waiting, self.withholding = self.withholding, []
        refused = []
        for one in waiting:
            lane = <Lane?>one
            if lane.withheld is None:
                continue
            if lane.intent < durable:
                data, lane.withheld = lane.withheld, None
                lane.backend.send_bytes(<bytes>data)
            else:
                lane.clean, lane.asked = False, None
                refused.append(lane)
        return refused

    cdef long long now_us(self) except -1:
        cdef timespec now
        if self.clock is not None:
            return self.clock()
        clock_gettime(CLOCK_REALTIME, &now)
        return <long long>now.tv_sec * 1000000 + now.tv_nsec // 1000

    cdef int _mark(self) except -1:
        """Write the time of this moment as entries have it."""
        cdef long long now = self.now_us(), rest
        cdef int i
        if now // 1000000 != self.second:
            whole = b"%04d-%02d-%02dT%02d:%02d:%02d.000000Z" % gmtime(now // 1000000)[:6]
            if len(whole) != STAMP:
                raise InvariantError("a time has another length")
            memcpy(self.stamp, PyBytes_AS_STRING(whole), STAMP)
            self.second = now // 1000000
        rest = now % 1000000
        for i in range(6):
            self.stamp[25 - i] = 48 + rest % 10
            rest //= 10
        return 0

    cdef long long append(self, Pattern pattern, long long *numbers, int n_at, bytes name, bint keep) except -1:
        """Give an entry the next index and buffer it, as `LedgerLog.append_filled` does.

        Args:
            numbers: of the holes that are numbers; the one at `n_at` is the log's own count and filled in here.
            name: of the sealed text, for a pattern with one.
        """
        cdef Buffered made
        cdef list buffer
        cdef LogState log = self.log
        cdef Pace committer = self.committer
        cdef Py_ssize_t waiting
        cdef str now
        cdef long long kept, index
        if name is not None and PyBytes_GET_SIZE(name) != NAME:
            raise InvariantError("the name of a sealed text has another length")
        self._mark()
        now = self.stamp[:STAMP].decode("ascii")
        if log._closed or now < log._last_time:
            return self._slowly(pattern, numbers, n_at, name, keep)
        buffer = log._buffer
        waiting = len(buffer)
        numbers[n_at] = log._counter + waiting
        made = Buffered.__new__(Buffered)
        made.encoded = pattern.fill(numbers, PyBytes_AS_STRING(name) if name is not None else NULL, self.stamp)
        if keep:
            kept = log._kept_bytes + PyBytes_GET_SIZE(made.encoded)
            if kept > log._kept_bytes_max:
                raise LedgerError("too many entries wait for the ledger")
            log._kept_bytes = kept
        log._last_time = now
        made.keep, made.template, made.pattern, made.name = keep, pattern.template, pattern, name
        made.stamp = PyBytes_FromStringAndSize(self.stamp, STAMP)
        memcpy(made.numbers, numbers, sizeof(made.numbers))
        buffer.append(made)
        index = log._integrated + len(log._fresh) + waiting
        if not committer._planed:
            committer._note(keep=keep)
        elif not keep:
            committer._urgent = True
        elif not committer._urgent and committer._lazy_until == 0:
            committer._lazy_until = _seconds() + committer._lazy_seconds
        return index

    cdef bytes seal(self, str database, tuple classes, bytes text):
        """The name of a text that names nobody, sealed and buffered as `LedgerLog.seal_text` does."""
        cdef object keys = self.keys, cipher
        cdef Sealer sealer
        cdef bytes sealed
        self._mark()
        if self._is_another_day():
            self._begin_day()
            name = self.log.seal_text(database, text, classes).name.encode()
            self._note_day()
            return name
        whole = (database, classes, text)
        known = self.sealed.get(whole)
        if known is not None:
            return (<str>known.name).encode()
        whose = (database, classes)
        cipher = self.ciphers.get(whose)
        if cipher is None:
            cipher = keys.cipher(database, classes)
        made = self.sealers.get(whose)
        if made is None or (<Sealer?>made).cipher is not cipher:
            made = self.sealers[whose] = Sealer(cipher)
        sealer = <Sealer>made
        if self.nonce_at + NONCE > PyBytes_GET_SIZE(self.nonces):
            self.nonces, self.nonce_at = keys.entropy(NONCE * NONCES), 0
            if PyBytes_GET_SIZE(self.nonces) != NONCE * NONCES:
                raise InvariantError("a source of entropy gave less than was asked for")
        sealed = sealer.seal(text, <const unsigned char *>PyBytes_AS_STRING(self.nonces) + self.nonce_at)
        self.nonce_at += NONCE
        made_name = _hex_sha256(sealed)
        name = (<bytes>made_name).decode("ascii")
        if PyBytes_GET_SIZE(text) > CACHED_MAX or len(self.sealed) >= CACHED:
            keys.note(database, classes, text, name)
        else:
            self.sealed[whole] = NEW_TUPLE(SealedText, (name, ()))
        self.log._texts.append((name, sealed))
        return <bytes>made_name

    cdef object sealed_lately(self, str database, tuple classes, bytes text):
        """What is known of a text that was sealed today and is remembered, a `SealedText`; None: nothing."""
        self._mark()
        if self._is_another_day():
            self._begin_day()
            known = self.log.seal_text(database, text, classes)
            self._note_day()
            return known
        return self.sealed.get((database, classes, text))

    cdef bint _is_another_day(self):
        """Whether keys and remembered texts are those of another day than now, or were changed by others."""
        return self.sealed is None or memcmp(self.day, self.stamp, 10) != 0 or self.keys.day is not self.day_text

    cdef int _begin_day(self) except -1:
        memcpy(self.day, self.stamp, 10)
        self.sealers.clear()
        self.sealed, self.ciphers = self.keys.sealed_texts, self.keys.ciphers
        return 0

    cdef int _note_day(self) except -1:
        day = <str?>self.keys.day
        self.day_text = day if day == self.stamp[:10].decode("ascii") else None
        return 0

    cdef int count(self, object counters, bint decided) except -1:
        """Count a statement that was decided again, or one that is complete; `tell` says it to the one who counts."""
        if counters is not self.counters:
            self.tell()
            self.counters = counters
        if decided:
            self.decided += 1
        else:
            self.completed += 1
        return 0

    cdef int tell(self) except -1:
        """Pass on what was counted."""
        decided, completed = self.decided, self.completed
        self.decided = self.completed = 0
        if decided:
            self.counters.decided_again(decided)
        if completed:
            self.counters.completed_again(completed)
        return 0

    cdef long long _slowly(self, Pattern pattern, long long *numbers, int n_at, bytes name, bint keep) except -1:
        """The clock went back, or the log is closed: the log has its own way with that."""
        cdef int i, j = 0
        low, high = [], []
        for i in range(pattern.holes):
            if pattern.kinds[i] == TEXT:
                high.append(name)
            elif pattern.kinds[i] == NUMBER:
                if j != n_at:
                    (low if j < n_at else high).append(numbers[j])
                j += 1
        return self.committer.append_filled(pattern.template, tuple(low), tuple(high), keep=keep)


cdef class Sealer:
    """AES-256-GCM under one key, in the form of `ledger.blob.seal`."""

    cdef readonly object cipher
    cdef EVP_CIPHER_CTX *context
    cdef bytes head

    def __cinit__(self, cipher):
        self.context = EVP_CIPHER_CTX_new()
        if self.context == NULL:
            raise MemoryError

    def __init__(self, cipher):
        key = <bytes?>cipher.key
        label = <bytes?>cipher.label
        if PyBytes_GET_SIZE(key) != KEY or PyBytes_GET_SIZE(label) > 255:
            raise LedgerError("a key or label has the wrong length")
        self.cipher, self.head = cipher, b"\x01" + bytes([len(label)]) + label
        if EVP_EncryptInit_ex(self.context, EVP_aes_256_gcm(), NULL, <const unsigned char *>PyBytes_AS_STRING(key), NULL) != 1:
            raise LedgerError("a cipher cannot be made")

    def __dealloc__(self):
        EVP_CIPHER_CTX_free(self.context)

    cdef bytes seal(self, bytes text, const unsigned char *nonce):
        """The sealed text: head, nonce, ciphertext, tag; `nonce` has its 12 bytes."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(text), head = PyBytes_GET_SIZE(self.head)
        cdef bytes made
        cdef unsigned char *out
        cdef int length = 0, rest = 0, skipped = 0
        if size > 1 << 24:
            raise LedgerError("a text is too long to be stored")
        made = PyBytes_FromStringAndSize(NULL, head + NONCE + size + TAG)
        out = <unsigned char *>PyBytes_AS_STRING(made)
        memcpy(out, PyBytes_AS_STRING(self.head), head)
        memcpy(out + head, nonce, NONCE)
        if (
            EVP_EncryptInit_ex(self.context, NULL, NULL, NULL, nonce) != 1
            or EVP_EncryptUpdate(self.context, NULL, &skipped, out, <int>head) != 1
            or EVP_EncryptUpdate(
                self.context, out + head + NONCE, &length, <const unsigned char *>PyBytes_AS_STRING(text), <int>size
            ) != 1
            or length != size
            or EVP_EncryptFinal_ex(self.context, out + head + NONCE + length, &rest) != 1
            or rest != 0
            or EVP_CIPHER_CTX_ctrl(self.context, EVP_CTRL_AEAD_GET_TAG, TAG, out + head + NONCE + length) != 1
        ):
            raise LedgerError("a text could not be sealed")
        return made


cdef EVP_MD *SHA256 = EVP_MD_fetch(NULL, b"SHA256", NULL)
cdef EVP_MD_CTX *LOOP_DIGEST = EVP_MD_CTX_new()
if SHA256 == NULL or LOOP_DIGEST == NULL:
    raise ImportError("OpenSSL has no SHA-256")


cdef int _sha256(EVP_MD_CTX *context, const void *first, size_t length, const void *more, size_t rest, unsigned char *out) noexcept nogil:
    """SHA-256 over two pieces; 0 when it failed."""
    cdef unsigned int written = 0
    return (
        EVP_DigestInit_ex(context, SHA256, NULL) == 1
        and EVP_DigestUpdate(context, first, length) == 1
        and EVP_DigestUpdate(context, more, rest) == 1
        and EVP_DigestFinal_ex(context, out, &written) == 1
        and written == HASH
    )


cdef bytes _hex_sha256(bytes data):
    """`ledger.blob.blob_name`, in bytes."""
    cdef unsigned char digest[HASH]
    cdef char name[NAME]
    cdef int i
    if not _sha256(LOOP_DIGEST, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), NULL, 0, digest):
        raise LedgerError("a text could not be hashed")
    for i in range(HASH):
        name[2 * i], name[2 * i + 1] = HEX[digest[i] >> 4], HEX[digest[i] & 15]
    return PyBytes_FromStringAndSize(name, NAME)


def leaf_hashes(list entries not None):
    """`ledger.tree.leaf_hashes` of at most 256 entries; other threads run meanwhile."""
    cdef const char *starts[BUNDLE]
    cdef Py_ssize_t sizes[BUNDLE]
    cdef unsigned char digests[BUNDLE * HASH]
    cdef unsigned char prefix = 0
    cdef EVP_MD_CTX *context
    cdef Py_ssize_t count = len(entries), i
    cdef bint fine = True
    cdef tuple held = tuple(entries)  # what is hashed stays where it is
    if count > BUNDLE:
        raise LedgerError("too many entries at once")
    for i in range(count):
        entry = <bytes?>held[i]
        starts[i], sizes[i] = PyBytes_AS_STRING(entry), PyBytes_GET_SIZE(entry)
    context = EVP_MD_CTX_new()
    if context == NULL:
        raise MemoryError
    with nogil:
        for i in range(count):
            fine = fine and _sha256(context, &prefix, 1, starts[i], sizes[i], digests + i * HASH)
    EVP_MD_CTX_free(context)
    if not fine:
        raise LedgerError("entries could not be hashed")
    return [PyBytes_FromStringAndSize(<char *>digests + i * HASH, HASH) for i in range(count)]


def fold(list hashes not None):
    """`ledger.tiles.fold`: the hash above a power of two of neighbouring hashes, at most 256; other threads run meanwhile."""
    cdef unsigned char nodes[BUNDLE * HASH]
    cdef unsigned char prefix = 1
    cdef EVP_MD_CTX *context
    cdef Py_ssize_t count = len(hashes), i
    cdef bint fine = True
    if not 0 < count <= BUNDLE or count & (count - 1):
        raise LedgerError("only a power of two of hashes, and at most 256, has one hash above it here")
    for i in range(count):
        one = <bytes?>hashes[i]
        if PyBytes_GET_SIZE(one) != HASH:
            raise LedgerError("a hash has another length")
        memcpy(nodes + i * HASH, PyBytes_AS_STRING(one), HASH)
    context = EVP_MD_CTX_new()
    if context == NULL:
        raise MemoryError
    with nogil:
        while count > 1:
            count //= 2
            for i in range(count):
                fine = fine and _sha256(context, &prefix, 1, nodes + 2 * i * HASH, 2 * HASH, nodes + i * HASH)
    EVP_MD_CTX_free(context)
    if not fine:
        raise LedgerError("hashes could not be folded")
    return PyBytes_FromStringAndSize(<char *>nodes, HASH)


def bundle(list entries not None):
    """`ledger.tiles.bundle`: each entry behind its length in two bytes."""
    cdef Py_ssize_t total = 0, size
    cdef bytes made, entry
    cdef unsigned char *out
    cdef tuple held = tuple(entries)
    for one in held:
        size = PyBytes_GET_SIZE(<bytes?>one)
        if size > ENTRY_MAX:
            raise LedgerError("an entry is too long for a bundle")
        total += 2 + size
    made = PyBytes_FromStringAndSize(NULL, total)
    out = <unsigned char *>PyBytes_AS_STRING(made)
    for one in held:
        entry = <bytes>one
        size = PyBytes_GET_SIZE(entry)
        out[0], out[1] = size >> 8, size & 0xFF
        memcpy(out + 2, PyBytes_AS_STRING(entry), size)
        out += 2 + size
    return made


cdef unsigned char *_framed(unsigned char *out, unsigned char *stop, bytes payload, unsigned long long index) except NULL:
    """Put one frame where there is room for it (`ledger.wal.frame`); where it ends."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
    cdef unsigned long crc
    cdef int i
    if not 0 < size <= PAYLOAD_MAX:
        raise LedgerError("a frame's payload is empty or too long")
    if stop - out < 16 + size:
        raise LedgerError("frames do not fit their place")
    for i in range(8):
        out[8 + i] = (index >> (56 - 8 * i)) & 0xFF
    memcpy(out + 16, PyBytes_AS_STRING(payload), size)
    crc = crc32(0, out + 8, <unsigned int>(8 + size))
    for i in range(4):
        out[i] = (size >> (24 - 8 * i)) & 0xFF
        out[4 + i] = (crc >> (24 - 8 * i)) & 0xFF
    return out + 16 + size


def group(list texts not None, list buffer not None, unsigned long long first):
    """The frames of one commit: sealed texts as (name, bytes), then entries with indices from `first` on."""
    cdef Py_ssize_t total = 0
    cdef bytes made
    cdef unsigned char *out
    cdef unsigned char *stop
    for _, sealed in texts:
        total += 16 + PyBytes_GET_SIZE(<bytes?>sealed)
    for entry in buffer:
        total += 16 + PyBytes_GET_SIZE((<Buffered>entry).encoded if type(entry) is Buffered else <bytes?>entry.encoded)
    made = PyBytes_FromStringAndSize(NULL, total)
    out = <unsigned char *>PyBytes_AS_STRING(made)
    stop = out + total
    for _, sealed in texts:
        out = _framed(out, stop, <bytes>sealed, <unsigned long long>0xFFFFFFFFFFFFFFFF)
    for entry in buffer:
        out = _framed(out, stop, (<Buffered>entry).encoded if type(entry) is Buffered else <bytes?>entry.encoded, first)
        first += 1
    if out != stop:
        raise InvariantError("frames are shorter than they were")
    return made


def settle(list buffer not None, long long first, object intents, list fresh not None):
    """Take durable entries into account, as `LedgerLog.commit` does: which intents are open, and what is to be integrated."""
    cdef Buffered made
    cdef set still_open = intents.open
    cdef long long index = first
    for entry in buffer:
        if type(entry) is Buffered and (<Buffered>entry).template is not None:
            made = <Buffered>entry
            if made.pattern.is_outcome:
                still_open.discard(made.numbers[3])
            else:
                still_open.add(index)
        elif entry.template is None:
            intents.follow(index, entry.fields)
        elif entry.template.names_intent:
            still_open.discard(entry.values[entry.template.intent_at])
        elif entry.template.kind == "intent":
            still_open.add(index)
        fresh.append(entry.encoded)
        index += 1


# -- reading --------------------------------------------------------------------------------------------------------------------


cdef bint _written(const unsigned char *data, Py_ssize_t position, Py_ssize_t size, int status, long long *found) noexcept:
    """`session.spans.written`: no rows and the tag's count, in `found`."""
    cdef Py_ssize_t end = size - 6, start, i
    cdef long long length, count = 0
    if position < 0 or position + 5 > end or data[position] != 67:
        return False
    length = _int32(data, position + 1, size)
    if position + 1 + length != end or data[end - 1] != 0 or data[size - 1] != status:
        return False
    if data[end] != 90 or data[end + 1] or data[end + 2] or data[end + 3] or data[end + 4] != 5:
        return False
    start = position + 5
    if _at(data, start, end, INSERT):
        start += 9
    elif _at(data, start, end, UPDATE) or _at(data, start, end, DELETE):
        start += 7
    else:
        return False
    if not 1 <= end - 1 - start <= 18:
        return False
    for i in range(start, end - 1):
        if data[i] < 48 or data[i] > 57:
            return False
        count = count * 10 + (data[i] - 48)
    found[0], found[1], found[2] = 0, 0, count
    return True


cdef struct Constants:
    int count
    Py_ssize_t starts[CONSTANTS]
    Py_ssize_t ends[CONSTANTS]
    unsigned char marks[CONSTANTS]
    bint odd


cdef inline bint _wordly(unsigned char c) noexcept:
    return 97 <= c <= 122 or 65 <= c <= 90 or 48 <= c <= 57 or c == 95 or c >= 128


cdef inline bint _is_space(unsigned char c) noexcept:
    return c == 32 or 9 <= c <= 13


cdef Py_ssize_t _quoted(const unsigned char *text, Py_ssize_t at, Py_ssize_t size, unsigned char mark) noexcept:
    """Where the quoted token that begins at `at` ends; -1 when it does not, or a string has a backslash."""
    at += 1
    while at < size:
        if text[at] == mark:
            if at + 1 < size and text[at + 1] == mark:
                at += 2
                continue
            return at + 1
        if mark == 39 and text[at] == 92:
            return -1
        at += 1
    return -1


cdef inline int _two(const unsigned char *text) noexcept:
    """Two digits as a number; below 0 for anything else."""
    return (text[0] - 48) * 10 + text[1] - 48 if 48 <= text[0] <= 57 and 48 <= text[1] <= 57 else -1


cdef bint _moment(const unsigned char *text, Py_ssize_t size) noexcept:
    """Whether a string holds a day, or a day and a time, as `sql.lifting` has them."""
    if size != 10 and size != 16 and size != 19:
        return False
    if not 10 <= _two(text) <= 29 or _two(text + 2) < 0 or text[4] != 45 or text[7] != 45:
        return False
    if not 1 <= _two(text + 5) <= 12 or not 1 <= _two(text + 8) <= 28:
        return False
    if size == 10:
        return True
    if text[10] != 32 or not 0 <= _two(text + 11) <= 23 or text[13] != 58 or not 0 <= _two(text + 14) <= 59:
        return False
    return size == 16 or (text[16] == 58 and 0 <= _two(text + 17) <= 59)


cdef bint _lift(const unsigned char *text, Py_ssize_t size, Constants *found) noexcept:
    """`sql.lifting.lift`: the constants of a text that may be lifted; false when there is none or its tokens are uncertain."""
    cdef Py_ssize_t at = 0, end, i, point, last_word = -1, last_string = -1
    cdef unsigned char c
    cdef uint64_t value
    cdef bint plain
    found.count = 0
    found.odd = False
    while at < size:
        c = text[at]
        if c == 0 or c == 36 or c == 92:
            return False
        if (c == 45 and at + 1 < size and text[at + 1] == 45) or (c == 47 and at + 1 < size and text[at + 1] == 42):
            return False
        if 48 <= c <= 57:
            end = at
            plain = True
            point = -1
            while end < size and (_wordly(text[end]) or text[end] == 46):
                if text[end] == 46 and plain and point < 0:
                    point = end
                else:
                    plain = plain and 48 <= text[end] <= 57
                end += 1
            if point >= 0:
                if plain and point + 1 < end and end - at <= 64 and not (at > 0 and text[at - 1] == 46):
                    if found.count >= CONSTANTS:
                        return False
                    found.starts[found.count], found.ends[found.count], found.marks[found.count] = at, end, 110
                    found.count += 1
                else:
                    found.odd = True
                at = last_word = end
                continue
            if not plain or end - at > 19 or (at > 0 and text[at - 1] == 46):
                found.odd = True
            if plain and end - at <= 19 and not (at > 0 and text[at - 1] == 46):
                value = 0
                for i in range(at, end):
                    value = value * 10 + (text[i] - 48)
                if value <= <uint64_t>0x7FFFFFFFFFFFFFFF:
                    if found.count >= CONSTANTS:
                        return False
                    found.starts[found.count], found.ends[found.count] = at, end
                    found.marks[found.count] = 105 if value <= 0x7FFFFFFF else 108
                    found.count += 1
                else:
                    found.odd = True
            at = last_word = end
        elif _wordly(c):
            while at < size and _wordly(text[at]):
                at += 1
            last_word = at
        elif c == 34 or c == 39:
            end = _quoted(text, at, size, c)
            if end < 0 or (at > 0 and text[at - 1] == 38) or memchr(text + at, 0, end - at) != NULL:
                return False
            if c == 39:
                if at == last_word:
                    return False
                if last_string >= 0:
                    i = last_string
                    while i < at and _is_space(text[i]):
                        i += 1
                    if i == at:
                        return False
                last_string = end
                if found.count >= CONSTANTS:
                    return False
                found.starts[found.count], found.ends[found.count] = at, end
                found.marks[found.count] = 100 if _moment(text + at + 1, end - at - 2) else 115
                found.count += 1
            at = end
        else:
            at += 1
    return found.count > 0


cdef bytes _without(const unsigned char *text, Py_ssize_t size, Constants *found, uint64_t mask):
    """`Lifted.without`: the text with only their class where the constants of these numbers stood."""
    cdef Py_ssize_t at = 0, out = 0, length
    cdef int i
    for i in range(found.count):
        if not (mask >> i) & 1:
            continue
        length = found.starts[i] - at
        if length < 0 or found.ends[i] > size or out + length + 2 > ROOM + SLACK:
            raise InvariantError("a constant outside of its text")
        memcpy(SKELETON + out, text + at, length)
        SKELETON[out + length], SKELETON[out + length + 1] = 0, found.marks[i]
        out += length + 2
        at = found.ends[i]
    length = size - at
    if out + length > ROOM + SLACK:
        raise InvariantError("a text longer than its place")
    memcpy(SKELETON + out, text + at, length)
    return PyBytes_FromStringAndSize(<char *>SKELETON, out + length)


cdef uint64_t _value(const unsigned char *text, Constants *found, int number) noexcept:
    """A whole number of a text; `_lift` has seen that it fits."""
    cdef uint64_t value = 0
    cdef Py_ssize_t i
    for i in range(found.starts[number], found.ends[number]):
        value = value * 10 + (text[i] - 48)
    return value


cdef bint _distinct(const unsigned char *text, Constants *found) noexcept:
    """`Lifted.is_distinct`: whether no two whole numbers of a text are equal, and nothing else of it can be read as one."""
    cdef uint64_t values[CONSTANTS]
    cdef int i, j, count = 0
    cdef Py_ssize_t at
    if found.odd:
        return False
    for i in range(found.count):
        if found.marks[i] == 115:
            for at in range(found.starts[i], found.ends[i]):
                if 48 <= text[at] <= 57:
                    return False
        if found.marks[i] != 105 and found.marks[i] != 108:
            continue
        values[count] = _value(text, found, i)
        for j in range(count):
            if values[j] == values[count]:
                return False
        count += 1
    return True


cdef inline uint64_t _all(int count) noexcept:
    return <uint64_t>0xFFFFFFFFFFFFFFFF if count >= 64 else (<uint64_t>1 << count) - 1


def lifted(bytes text not None):
    """What `sql.lifting.lift` finds, as (start, end, class) of each constant; None where it finds none. For the test of both."""
    cdef Constants found
    cdef int i
    if not _lift(<const unsigned char *>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), &found):
        return None
    return [(found.starts[i], found.ends[i], bytes([0, found.marks[i]])) for i in range(found.count)]


def is_distinct(bytes text not None):
    """`Lifted.is_distinct` of a text; None where `lift` finds nothing. For the test of both."""
    cdef Constants found
    if not _lift(<const unsigned char *>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), &found):
        return None
    return _distinct(<const unsigned char *>PyBytes_AS_STRING(text), &found)


# -- lanes ----------------------------------------------------------------------------------------------------------------------


cdef class Patterns:
    """The entries of all statements of a session of which they say the same."""

    cdef object repeated
    cdef Pattern intent, outcome
    cdef dict receipts, naming

    def __init__(self, repeated):
        self.repeated, self.intent, self.outcome = repeated, Pattern(repeated.intent), Pattern(repeated.outcome)
        self.receipts, self.naming = {}, {}


cdef class Permit:
    """What `session.remembered.Known` remembers of a statement, ready for use."""

    cdef object known, repeated, ready
    cdef str database
    cdef tuple classes
    cdef bytes text, description
    cdef bint nameless
    cdef bint writes
    cdef bint checked
    cdef bint masks
    cdef dict receipts, naming
    cdef Pattern intent, outcome

    def __init__(self, known, Patterns patterns not None):
        self.known, self.repeated = known, known.repeated
        self.writes, self.masks = known.writes, known.verdict.plan.masks
        self.text, self.description, self.checked = known.text, known.description, known.checked
        self.database, self.classes, self.nameless = known.repeated.database, known.repeated.classes, known.repeated.nameless
        self.intent, self.outcome, self.receipts, self.naming = patterns.intent, patterns.outcome, patterns.receipts, patterns.naming

    cdef object prepared(self):
        """The statement once the server has taken it."""
        if self.ready is None:
            self.ready = self.known.ready()
        return self.ready


cdef class Tables:
    """Permits by what identifies a message; of a shape, which constants count and what is left without the others."""

    cdef dict texts, shapes, bodies, names

    def __init__(self):
        self.texts, self.shapes, self.bodies, self.names = {}, {}, {}, {}


cdef class End:
    """One of a lane's two sockets, as the loop knows it; behind TLS it is read and written by the functions of the transport's own socket."""

    cdef Lane lane
    cdef object transport, secured, recv_into, send_some
    cdef int number
    cdef bint is_client
    cdef public bint open
    """Bytes may be sent past the transport: it has none waiting and is not closing."""

    def __init__(self, lane, transport, number, is_client, secured=None):
        self.lane, self.transport, self.number, self.is_client, self.open = lane, transport, number, is_client, True
        self.secured = secured
        if secured is not None:
            self.recv_into, self.send_some = secured.recv_into, secured.send

    def __call__(self, events):
        """A handler for loops that know no lanes."""
        self.ready(events)

    def drop(self):
        """The transport lets go of its socket."""
        self.open = False

    cdef int ready(self, uint32_t events) except -1:
        """The socket is ready."""
        global turns
        cdef ssize_t count
        if events != EPOLLIN or not self.open or self.lane is None:
            turns += 1
            self.transport.ready(events)
            return 0
        if self.secured is not None:
            return self._ready_behind_tls()
        count = recv(self.number, ROOM_IN, ROOM, 0)
        if count <= 0:
            turns += 1
            if count == 0 or errno not in (EAGAIN, EINTR):
                self.transport.read_ended(OSError(errno, "the socket failed") if count else None)
            return 0
        self._took(count)
        return 0

    cdef int _took(self, Py_ssize_t count) except -1:
        if self.is_client:
            self.lane.from_client(self, count)
        else:
            self.lane.from_backend(self, count)
        return 0

    cdef int _ready_behind_tls(self) except -1:
        """Take what has arrived as records, as much as there is room for; an end or an error comes after the bytes before it."""
        global turns
        cdef Py_ssize_t count = 0, size = 0
        cdef bint has_ended = False
        error = None
        while size + RECORD <= ROOM:
            try:
                count = self.recv_into(PyMemoryView_FromMemory(<char *>ROOM_IN + size, ROOM - size, PyBUF_WRITE))
            except (SSLWantReadError, SSLWantWriteError, BlockingIOError, InterruptedError):
                break
            except (OSError, ValueError) as one:
                error, has_ended = one, True
                break
            if not 0 < count <= ROOM - size:
                has_ended = True
                break
            size += count
            if count < MORE and not self.secured.pending():
                break
        if size:
            self._took(size)
        if has_ended:
            turns += 1
            self.transport.read_ended(error)
        elif size and self.secured.pending():
            turns += 1
            self.transport.read_decrypted()
        return 0

    cdef Py_ssize_t _give(self, const char *data, Py_ssize_t size) except -1:
        """Send a piece; how much was taken. What is wrong with the socket is found by the transport, which gets the rest."""
        cdef ssize_t count
        if not self.open:
            return 0
        if self.secured is None:
            count = send(self.number, data, size, MSG_NOSIGNAL)
            return count if count > 0 else 0
        try:
            count = self.send_some(PyMemoryView_FromMemory(<char *>data, size, PyBUF_READ))
        except (OSError, ValueError):
            return 0
        return count if 0 < count <= size else 0

    cdef int send(self, Py_ssize_t start, Py_ssize_t end) except -1:
        """Send a piece of what was received last; what the kernel does not take is left to the transport."""
        cdef Py_ssize_t count
        if not 0 <= start <= end <= ROOM + SLACK:
            raise InvariantError("a piece outside of what was received")
        count = self._give(<const char *>ROOM_IN + start, end - start)
        if count != end - start:
            self.transport.write(PyBytes_FromStringAndSize(<char *>ROOM_IN + start + count, end - start - count))
        return 0

    cdef Py_ssize_t begin(self, Py_ssize_t end) except -1:
        """Send the beginning of what was received last; how much the kernel took."""
        if not 0 <= end <= ROOM + SLACK:
            raise InvariantError("a piece outside of what was received")
        return self._give(<const char *>ROOM_IN, end)

    cdef int send_bytes(self, bytes data) except -1:
        """Send what was kept, likewise."""
        cdef Py_ssize_t count = self._give(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        if count != PyBytes_GET_SIZE(data):
            self.transport.write(data[count:])
        return 0


cdef class Lane:
    """One session in the steady state.

    Args:
        fast: the `FastLane` behind it.
        ledger: where its entries go.
        broken: told of an error that nobody expected; it ends the session.
    """

    cdef object fast, talk, evidence, counters, broken
    cdef Pace committer
    cdef Ledger ledger
    cdef readonly End client
    cdef readonly End backend
    cdef public bint clean
    cdef public long long heard_us
    cdef readonly long long passed
    cdef Tables idle
    cdef Tables open
    cdef dict patterns
    cdef int status
    cdef long long until_us
    cdef unsigned long long seen
    cdef Permit asked
    cdef Py_ssize_t end
    cdef long long intent, started_us
    cdef bint simple, parsed, described, inserted
    cdef bytes withheld

    def __init__(self, fast, Ledger ledger not None, broken):
        self.fast, self.talk, self.broken = fast, fast.talk, broken
        self.evidence, self.counters = self.talk.evidence, self.talk.counters
        self.ledger, self.committer = ledger, ledger.committer
        self.forget()

    def attach(self, client, backend):
        """Take over two ends, both or none."""
        self.client, self.backend = client, backend

    def forget(self):
        """Remember no statement."""
        self.idle, self.open, self.patterns = Tables(), Tables(), {}

    def resume(self, status, until_us):
        """A fast round has ended, and nothing else is under way: go on here.

        Args:
            status: of the transaction, `I` or `T`.
            until_us: when what is remembered must be looked at again.
        """
        global turns
        if self.client is not None and self.backend is not None and status in ("I", "T"):
            self.clean, self.status, self.until_us = True, ord(status), until_us
            self.seen = turns

    def leave(self):
        """Hand over to Python what is under way; what is withheld is written or refused first."""
        if self.clean and self.withheld is not None:
            self.committer.commit()
        if self.clean:
            self.clean = False
            if self.asked is not None:
                permit, self.asked = self.asked, None
                self.fast.take_over(
                    permit.known, self.intent, self.started_us, simple=self.simple, parsed=self.parsed,
                    described=self.described, inserted=self.inserted,
                )

    cdef long long now(self) except -1:
        cdef timespec moment
        if self.ledger.ticks is not None:
            return self.ledger.ticks()
        clock_gettime(CLOCK_MONOTONIC, &moment)
        return <long long>moment.tv_sec * 1000000 + moment.tv_nsec // 1000

    cdef bint _is_current(self) except -1:
        """Whether what is remembered was remembered under what holds now."""
        global turns
        if self.seen != turns:
            if not self.fast.is_current():
                return False
            self.seen = turns
        return self.ledger.now_us() < self.until_us

    # -- the client's side

    cdef int from_client(self, End end, Py_ssize_t size) except -1:
        """Bytes of the client are in the room."""
        global turns
        cdef bint taken = False
        self.heard_us = self.now()
        if self.clean and self.asked is None and self.backend.open:
            try:
                taken = self._is_current() and self._ask(size)
            except Exception as error:
                self.broken(error)
                return 0
        if not taken:
            turns += 1
            data = _bytes(ROOM_IN, 0, size, size)
            self.leave()
            end.transport.deliver(data)
            asked = self.fast.asked
            if asked is not None:
                self._remember(data, asked)
        return 0

    cdef bint _ask(self, Py_ssize_t size) except -1:
        if size < 7:
            return False
        if ROOM_IN[0] == 81:
            return self._query(size)
        if ROOM_IN[0] == 66 or ROOM_IN[0] == 80:
            return self._round(size)
        return False

    cdef bint _query(self, Py_ssize_t size) except -1:
        cdef bytes text
        cdef object permit
        if _int32(ROOM_IN, 1, size) + 1 != size or ROOM_IN[size - 1] != 0:
            return False
        text = _bytes(ROOM_IN, 5, size - 1, size)
        permit = self._known().texts.get(text)
        if permit is None:
            permit = self._lifted(text)
        if permit is None:
            permit = self._learnt("text", text, self._known().texts)
            if permit is None:
                return False
        self._take(<Permit?>permit, text, size, True, False, False)
        return True

    cdef int _take(self, Permit permit, bytes text, Py_ssize_t size, bint simple, bint parsed, bint described) except -1:
        """Send a read on and record its intent meanwhile, which is durable before its answer is looked at; a write waits for that itself."""
        cdef Py_ssize_t sent = 0
        self.simple, self.parsed, self.described = simple, parsed, described
        self.inserted = not simple and self.inserted
        if not permit.writes:
            sent = self.backend.begin(size)
        self._record(permit, text)
        self.asked = permit
        if permit.writes:
            self.withheld = _bytes(ROOM_IN, 0, size, size)
            self.ledger.withholding.append(self)
        elif sent != size:
            self.backend.transport.write(_bytes(ROOM_IN, sent, size, size))
        return 0

    def ask_again(self):
        """The intent of what was withheld could not be written: the conversation has the words for it."""
        global turns
        turns += 1
        data, self.withheld = self.withheld, None
        if data is not None:
            self.client.transport.deliver(data)

    cdef object _lifted(self, bytes text):
        """What is remembered of texts that differ from this one in lifted constants only."""
        cdef Constants found
        cdef const unsigned char *start = <const unsigned char *>PyBytes_AS_STRING(text)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(text)
        cdef dict shapes = self._known().shapes
        cdef bytes skeleton
        cdef uint64_t mask, more
        if not shapes or not _lift(start, size, &found):
            return None
        skeleton = _without(start, size, &found, _all(found.count))
        shape = shapes.get(skeleton)
        if shape is None:
            return None
        mask, more, known = <tuple?>shape
        if more and _distinct(start, &found):
            mask |= more
        if mask != _all(found.count):
            skeleton = _without(start, size, &found, mask)
        permit = (<dict?>known).get(skeleton)
        return permit if permit is not None else self._learnt("rest", skeleton, <dict>known)

    cdef object _learnt(self, str kind, bytes key, dict table):
        """The permit of what another session has learnt, which is kept here from now on."""
        known = self.fast.learnt(kind, key)
        if known is None:
            return None
        if len(table) >= KNOWN:
            del table[next(iter(table))]
        permit = table[key] = self._permit(known)
        return permit

    cdef Permit _permit(self, object known):
        """The permit of a statement, whose entries' patterns are made once for all that say the same."""
        patterns = self.patterns.get(id(known.repeated))
        if patterns is None or (<Patterns?>patterns).repeated is not known.repeated:
            if len(self.patterns) >= KNOWN:
                self.patterns.clear()
            patterns = self.patterns[id(known.repeated)] = Patterns(known.repeated)
        return Permit(known, <Patterns>patterns)

    cdef inline Tables _known(self):
        """What is remembered for this status of the transaction."""
        return self.idle if self.status == 73 else self.open

    cdef bint _round(self, Py_ssize_t size) except -1:
        """As `FastLane._round`."""
        cdef Py_ssize_t start = 0, end, offset, values, stop = 0
        cdef long long length
        cdef bint parsed = ROOM_IN[0] == 80, described
        cdef object permit
        cdef bytes text
        cdef void *zero
        if parsed:
            length = _int32(ROOM_IN, 1, size)
            if length < 5 or 1 + length + 7 > size:
                return False
            start = 1 + length
            if ROOM_IN[5] != 0 or ROOM_IN[start] != 66:
                return False
        length = _int32(ROOM_IN, start + 1, size)
        end = start + 1 + length
        if length < 4 + 2 + 6 or end > size or ROOM_IN[start + 5] != 0:
            return False
        described = size - end == 22
        if described:
            if not _at(ROOM_IN, end, size, DESCRIBE) or not _at(ROOM_IN, end + 7, size, EXECUTE_SYNC):
                return False
        elif size - end != 15 or not _at(ROOM_IN, end, size, EXECUTE_SYNC):
            return False
        zero = memchr(ROOM_IN + start + 6, 0, end - start - 6)
        if zero == NULL:
            return False
        offset = <unsigned char *>zero - ROOM_IN
        if parsed:
            if offset != start + 6:
                return False
            text = _bytes(ROOM_IN, 5, start, size)
            permit = self._known().bodies.get(text)
            if permit is None:
                permit = self._learnt("body", text, self._known().bodies)
        else:
            permit = self._named(_bytes(ROOM_IN, start + 6, offset, size))
        if permit is None:
            return False
        values = _values(ROOM_IN, offset + 1, end, &stop)
        if values < 0 or stop - values > PARAMETERS_MAX:
            return False
        text = _joined((<Permit?>permit).text, ROOM_IN, values, stop, size)
        if self.status == 73 and self.talk.portals:
            self.talk.portals.pop("", None)
        self.inserted = (<Permit>permit).checked and not described
        if self.inserted:
            memmove(ROOM_IN + end + 7, ROOM_IN + end, 15)  # there is room: SLACK
            memcpy(ROOM_IN + end, PyBytes_AS_STRING(DESCRIBE), 7)
            size += 7
        self._take(<Permit>permit, text, size, False, parsed, described)
        return True

    cdef object _named(self, bytes name):
        """The permit of a prepared statement, when its name still means the same."""
        known = self._known().names.get(name)
        if known is None:
            return None
        prepared, name_text, permit = <tuple?>known
        return permit if (<dict?>self.talk.prepared).get(name_text) is prepared else None

    cdef int _record(self, Permit permit, bytes text) except -1:
        """The intent of what is sent on."""
        cdef long long numbers[HOLES]
        self.ledger.count(self.counters, True)
        if permit.nameless:
            name = self.ledger.seal(permit.database, permit.classes, text)
            sequence = self.evidence._sequence + 1
            self.evidence._sequence = sequence
            numbers[1] = sequence
            self.intent = self.ledger.append(permit.intent, numbers, 0, name, False)
        else:
            self.intent = self._record_named(permit, text)
        self.started_us = self.now()
        self.passed += 1
        return 0

    cdef long long _record_named(self, Permit permit, bytes text) except -1:
        """The intent of a text that may name persons: here where the same text was looked at lately, in Python where it is new."""
        cdef long long numbers[HOLES]
        cdef Pattern pattern = permit.intent
        known = self.ledger.sealed_lately(permit.database, permit.classes, text)
        if known is None:
            return self.evidence.intent_again(permit.repeated, text)
        persons = <tuple?>known.persons
        if persons:
            made = permit.naming.get(persons)
            if made is None:
                if len(permit.naming) >= RECEIPTS:
                    permit.naming.clear()
                made = permit.naming[persons] = Pattern(self.evidence.naming(permit.repeated, known))
            pattern = <Pattern?>made
        sequence = self.evidence._sequence + 1
        self.evidence._sequence = sequence
        numbers[1] = sequence
        return self.ledger.append(pattern, numbers, 0, (<str>known.name).encode(), False)

    cdef int _remember(self, bytes data, object asked) except -1:
        """`FastLane` took these bytes: from now on they are taken here."""
        cdef Tables tables = self.idle if self.talk.replies.status == "I" else self.open
        cdef Constants found
        cdef Py_ssize_t start
        cdef dict table
        cdef uint64_t mask = 0, more = 0, chosen
        if not self.fast.is_repeated(asked):
            return 0
        known = asked.known
        if known.permit is None:
            known.permit = self._permit(known)
        if asked.simple:
            text = data[5:len(data) - 1]
            places = self.fast.places_of(text)
            if places is None:
                table, key, value = tables.texts, text, known.permit
            else:
                if not _lift(<const unsigned char *>PyBytes_AS_STRING(text), len(text), &found):
                    return 0
                for place in places.inert:
                    if not 0 <= place < found.count:
                        return 0
                    mask |= <uint64_t>1 << <int>place
                for place in places.matched:
                    if not 0 <= place < found.count:
                        return 0
                    more |= <uint64_t>1 << <int>place
                chosen = mask
                if more and _distinct(<const unsigned char *>PyBytes_AS_STRING(text), &found):
                    chosen |= more
                table = tables.shapes
                key = _without(<const unsigned char *>PyBytes_AS_STRING(text), len(text), &found, _all(found.count))
                rest = _without(<const unsigned char *>PyBytes_AS_STRING(text), len(text), &found, chosen)
                _, _, known_by = table.get(key) or (0, 0, {})
                if len(known_by) >= KNOWN:
                    del known_by[next(iter(known_by))]
                known_by[rest] = known.permit
                value = (mask, more, known_by)
        elif asked.parsed:
            table, value = tables.bodies, known.permit
            key = data[5:1 + int.from_bytes(data[1:5], "big")]
        else:
            table = tables.names
            key = data[6:data.index(0, 6)]
            name = key.decode()
            value = (self.talk.prepared[name], name, known.permit)
        if len(table) >= KNOWN and key not in table:
            del table[next(iter(table))]
        table[key] = value
        return 0

    # -- the backend's side

    cdef int from_backend(self, End end, Py_ssize_t size) except -1:
        """Bytes of the backend are in the room."""
        global turns
        cdef Py_ssize_t start = -1
        if self.clean and self.asked is not None and self.client.open:
            try:
                start = self._answer(size)
                if start >= 0:
                    self.client.send(start, self.end)
            except Exception as error:
                self.broken(error)
                return 0
        if start < 0:
            turns += 1
            data = _bytes(ROOM_IN, 0, size, size)
            self.leave()
            end.transport.deliver(data)
        return 0

    cdef Py_ssize_t _answer(self, Py_ssize_t size) except -2:
        """Where what is to be shown begins, its outcome recorded; -1 when it is not one whole, expected answer."""
        cdef Permit permit = self.asked
        cdef Pattern outcome = permit.outcome
        cdef Py_ssize_t position = 0, head, description
        cdef long long numbers[HOLES]
        cdef long long found[3]
        cdef long long length
        if self.intent >= self.committer.durable:
            return -1
        if not self.simple:
            if self.parsed:
                if not _at(ROOM_IN, 0, size, PARSED):
                    return -1
                position = 5
            if not _at(ROOM_IN, position, size, BOUND):
                return -1
            position += 5
        head, description = position, 0
        if permit.writes:
            if self.described:
                if not _at(ROOM_IN, position, size, NO_DATA):
                    return -1
                position += 5
        elif permit.checked:
            if not _at(ROOM_IN, position, size, permit.description):
                return -1
            description = PyBytes_GET_SIZE(permit.description)
            position += description
        elif self.simple or self.described:
            if position > size - 6 or ROOM_IN[position] != 84:
                return -1
            length = _int32(ROOM_IN, position + 1, size)
            if length < 4:
                return -1
            position += 1 + length
        if not (
            _written(ROOM_IN, position, size, self.status, found)
            if permit.writes
            else _tail(ROOM_IN, position, size, self.status, found)
        ):
            return -1
        self.end = size
        if permit.masks:
            outcome = self._masked(permit, position, size, found)
            if outcome is None:
                return -1
        self.asked = None
        sequence = self.evidence._sequence + 1
        self.evidence._sequence = sequence
        numbers[0], numbers[1], numbers[2], numbers[3] = found[2], found[1], self.now() - self.started_us, self.intent
        numbers[5], numbers[6], numbers[7] = found[0], sequence, 0
        self.ledger.append(outcome, numbers, 4, None, True)
        self.ledger.count(self.counters, False)
        if self.parsed:
            self.talk.prepared[""] = permit.prepared()
        if self.status == 84 and not self.simple:
            self.fast.portal_left(permit.known, self.intent, self.started_us)
        if self.inserted:
            memmove(ROOM_IN + description, ROOM_IN, head)
            return description
        return 0

    cdef Pattern _masked(self, Permit permit, Py_ssize_t position, Py_ssize_t size, long long *found):
        """Mask the rows where they lie; the outcome's pattern. None: nothing was changed, Python has more to do with this answer."""
        cdef bytes shown
        cdef Py_ssize_t rest = position + found[1], length
        masks = self.fast.masks_of(permit.known)
        if masks is None or found[0] > ROWS or not 0 <= position <= rest <= size:
            return None
        try:
            shown, _, counts = masks.mask(_bytes(ROOM_IN, position, rest, size), False)
        except BackendProtocolError:
            return None
        length = PyBytes_GET_SIZE(shown)
        if position + length + size - rest > ROOM + SLACK:
            return None
        cells = tuple(counts)
        outcome = permit.receipts.get(cells)
        if outcome is None:
            if len(permit.receipts) >= RECEIPTS:
                permit.receipts.clear()
            outcome = permit.receipts[cells] = Pattern(self.fast.receipted(permit.known, cells, found[0]))
        memmove(ROOM_IN + position + length, ROOM_IN + rest, size - rest)
        memcpy(ROOM_IN + position, PyBytes_AS_STRING(shown), length)
        self.end, found[1] = position + length + size - rest, length
        return <Pattern>outcome


include "_lane_loop.pxi"
