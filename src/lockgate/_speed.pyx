# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True, embedsignature=True
"""The compiled core: what is done for every row, every message and every entry, in C.

For: the same answers as the plain functions beside which each of these is named; a test compares them.
Not for: anything that decides, keeps state or does I/O. Every access to bytes is checked against their length.
Source: ADR 14.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy
from libc.stdint cimport uint64_t
from array import array
from zlib import crc32

from lockgate.errors import BackendProtocolError, InvariantError, LedgerError

cdef Py_ssize_t MAX_PAYLOAD = 1 << 24
cdef bytes SELECT = b"SELECT "


cdef inline long long _int32(const unsigned char[:] data, Py_ssize_t at) except? -9:
    """A signed 32-bit integer at a checked place."""
    cdef long long value
    value = (<long long>data[at] << 24) | (data[at + 1] << 16) | (data[at + 2] << 8) | data[at + 3]
    return value - (1 << 32) if value >= (1 << 31) else value


def scan(const unsigned char[:] front, Py_ssize_t position, int first, int second):
    """`wire.postgres.frames.scan`: (where the last message with one of two tags ends, how many there are)."""
    cdef Py_ssize_t last = front.shape[0] - 5
    cdef Py_ssize_t rows = 0
    cdef long long length
    if position < 0:
        return position, 0
    while position <= last:
        if front[position] != first and front[position] != second:
            break
        length = _int32(front, position + 1)
        if length < 4:
            break
        rows += 1
        position += length + 1
    return position, rows


def rows_and_tag(const unsigned char[:] data, Py_ssize_t position, int status):
    """`session.spans.rows_and_tag`: (rows, their bytes, count of the tag) of `DataRow* CommandComplete ReadyForQuery`, or None."""
    cdef Py_ssize_t size = data.shape[0]
    cdef Py_ssize_t last = size - 6
    cdef Py_ssize_t first = position, rows = 0, end, i
    cdef long long length
    cdef uint64_t count = 0
    if position < 0:
        return None
    while position < last and data[position] == 68:
        length = _int32(data, position + 1)
        if length < 4:
            return None
        position += 1 + length
        rows += 1
    if position >= last or data[position] != 67:
        return None
    length = _int32(data, position + 1)
    end = position + 1 + length
    if end != last or data[size - 1] != status:
        return None
    if data[end] != 90 or data[end + 1] or data[end + 2] or data[end + 3] or data[end + 4] != 5:
        return None
    # `SELECT `, at least one and at most 18 digits, a zero byte.
    if length < 4 + 7 + 1 + 1 or length > 4 + 7 + 18 + 1 or data[end - 1] != 0:
        return None
    for i in range(7):
        if data[position + 5 + i] != <unsigned char>SELECT[i]:
            return None
    for i in range(position + 12, end - 1):
        if data[i] < 48 or data[i] > 57:
            return None
        count = count * 10 + (data[i] - 48)
    return rows, position - first, count


def bind_values(const unsigned char[:] data, Py_ssize_t offset, Py_ssize_t end):
    """`session.spans.bind_values`: (where the values begin, where they end) in a Bind, or None when it is not well-formed."""
    cdef Py_ssize_t formats, count, results, start, i
    cdef long long size
    if offset < 0 or end > data.shape[0] or offset + 2 > end:
        return None
    formats = (data[offset] << 8) | data[offset + 1]
    offset += 2
    if offset + 2 * formats + 2 > end:
        return None
    for i in range(formats):
        if data[offset] or data[offset + 1] > 1:
            return None
        offset += 2
    start = offset
    count = (data[offset] << 8) | data[offset + 1]
    offset += 2
    for i in range(count):
        if offset + 4 > end:
            return None
        size = _int32(data, offset)
        offset += 4
        if size > 0:
            offset += size
        elif size < -1:
            return None
    if offset + 2 > end or (formats > 1 and formats != count):
        return None
    results = (data[offset] << 8) | data[offset + 1]
    if offset + 2 + 2 * results != end:
        return None
    for i in range(results):
        if data[offset + 2 + 2 * i] or data[offset + 3 + 2 * i] > 1:
            return None
    return start, offset


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
