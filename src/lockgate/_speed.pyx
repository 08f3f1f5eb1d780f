# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True, embedsignature=True
"""The compiled core: what is done for every row, every message and every entry, in C.

For: the same answers as the plain functions beside which each of these is named; a test compares them.
Not for: anything that decides, keeps state or does I/O. Every access to bytes is checked against their length.
Source: ADR 14.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcmp, memcpy
from libc.stdint cimport uint64_t
from array import array
from zlib import crc32

from lockgate.errors import BackendProtocolError, InvariantError, LedgerError

cdef Py_ssize_t MAX_PAYLOAD = 1 << 24


include "_spans.pxi"


def scan(const unsigned char[::1] front, Py_ssize_t position, int first, int second):
    """`wire.postgres.frames.scan`: (where the last message with one of two tags ends, how many there are)."""
    cdef Py_ssize_t last = front.shape[0] - 5
    cdef Py_ssize_t rows = 0
    cdef long long length
    if position < 0:
        return position, 0
    while position <= last:
        if front[position] != first and front[position] != second:
            break
        length = _int32(&front[0], position + 1, front.shape[0])
        if length < 4:
            break
        rows += 1
        position += length + 1
    return position, rows


def rows_and_tag(const unsigned char[::1] data, Py_ssize_t position, int status):
    """`session.spans.rows_and_tag`: (rows, their bytes, count of the tag) of `DataRow* CommandComplete ReadyForQuery`, or None."""
    cdef long long[3] found
    if not data.shape[0] or not _tail(&data[0], position, data.shape[0], status, found):
        return None
    return found[0], found[1], found[2]


def bind_values(const unsigned char[::1] data, Py_ssize_t offset, Py_ssize_t end):
    """`session.spans.bind_values`: (where the values begin, where they end) in a Bind, or None when it is not well-formed."""
    cdef Py_ssize_t start, stop = 0
    if not 0 < end <= data.shape[0]:
        return None
    start = _values(&data[0], offset, end, &stop)
    return None if start < 0 else (start, stop)


def frames(list payloads, unsigned long long index, bint same):
    """`ledger.wal.frames`: the frames of payloads with indices from `index` on, or all with `index` when `same`."""
    cdef Py_ssize_t total = 0, size, i
    cdef unsigned long long number = index
    cdef unsigned long crc
    cdef bytes payload, result
    cdef unsigned char head[16]
    cdef char *out
    for payload in payloads:
        size = len(payload)
        if not 0 < size <= MAX_PAYLOAD:
            raise LedgerError("a frame's payload is empty or too long")
        total += 16 + size
    result = PyBytes_FromStringAndSize(NULL, total)
    out = PyBytes_AS_STRING(result)
    for payload in payloads:
        size = len(payload)
        for i in range(8):
            head[8 + i] = (number >> (56 - 8 * i)) & 0xFF
        crc = crc32(payload, crc32(PyBytes_FromStringAndSize(<char *>head + 8, 8)))
        for i in range(4):
            head[i] = (size >> (24 - 8 * i)) & 0xFF
            head[4 + i] = (crc >> (24 - 8 * i)) & 0xFF
        if total < 16 + size:
            raise LedgerError("frames do not fit their place")
        memcpy(out, head, 16)
        memcpy(out + 16, PyBytes_AS_STRING(payload), size)
        out += 16 + size
        total -= 16 + size
        if not same:
            number += 1
    return result


include "_speed_ff1.pxi"
include "_speed_masks.pxi"
include "_speed_tokens.pxi"
include "_speed_rows.pxi"
