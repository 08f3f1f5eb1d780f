# Part of `_speed.pyx` and of `_lane.pyx`: messages measured where they lie, every place checked against the length.
#
# For: `session.spans` in C. Not for: anything that keeps state.

cdef bytes SELECT = b"SELECT "


cdef inline long long _int32(const unsigned char *data, Py_ssize_t at, Py_ssize_t size) noexcept:
    """A signed 32-bit integer; one that is not whole is -2^31, which is no length."""
    cdef long long value
    if at < 0 or at + 4 > size:
        return -(<long long>1 << 31)
    value = (<long long>data[at] << 24) | (data[at + 1] << 16) | (data[at + 2] << 8) | data[at + 3]
    return value - (<long long>1 << 32) if value >= (<long long>1 << 31) else value


cdef inline bint _at(const unsigned char *data, Py_ssize_t at, Py_ssize_t size, bytes expected) noexcept:
    """Whether these bytes are there."""
    cdef Py_ssize_t length = PyBytes_GET_SIZE(expected)
    return 0 <= at and at + length <= size and memcmp(data + at, PyBytes_AS_STRING(expected), length) == 0


cdef Py_ssize_t _values(const unsigned char *data, Py_ssize_t offset, Py_ssize_t end, Py_ssize_t *stop) noexcept:
    """`session.spans.bind_values`: where the values begin, and in `stop` where they end; -1 when the Bind is not well-formed."""
    cdef Py_ssize_t formats, count, results, start, i
    cdef long long size
    if offset < 0 or offset + 2 > end:
        return -1
    formats = (data[offset] << 8) | data[offset + 1]
    offset += 2
    if offset + 2 * formats + 2 > end:
        return -1
    for i in range(formats):
        if data[offset] or data[offset + 1] > 1:
            return -1
        offset += 2
    start = offset
    count = (data[offset] << 8) | data[offset + 1]
    offset += 2
    for i in range(count):
        if offset + 4 > end:
            return -1
        size = _int32(data, offset, end)
        offset += 4
        if size > 0:
            offset += size
        elif size < -1:
            return -1
    if offset + 2 > end or (formats > 1 and formats != count):
        return -1
    results = (data[offset] << 8) | data[offset + 1]
    if offset + 2 + 2 * results != end:
        return -1
    for i in range(results):
        if data[offset + 2 + 2 * i] or data[offset + 3 + 2 * i] > 1:
            return -1
    stop[0] = offset
    return start


cdef bint _tail(const unsigned char *data, Py_ssize_t position, Py_ssize_t size, int status, long long *found) noexcept:
    """`session.spans.rows_and_tag`: rows, their bytes and the tag's count, in `found`."""
    cdef Py_ssize_t last = size - 6, first = position, end, i
    cdef long long length, rows = 0, count = 0
    if position < 0:
        return False
    while position < last and data[position] == 68:
        length = _int32(data, position + 1, size)
        if length < 4:
            return False
        position += 1 + length
        rows += 1
    if position >= last or data[position] != 67:
        return False
    length = _int32(data, position + 1, size)
    end = position + 1 + length
    if end != last or data[size - 1] != status:
        return False
    if data[end] != 90 or data[end + 1] or data[end + 2] or data[end + 3] or data[end + 4] != 5:
        return False
    # `SELECT `, at least one and at most 18 digits, a zero byte.
    if length < 4 + 7 + 1 + 1 or length > 4 + 7 + 18 + 1 or data[end - 1] != 0:
        return False
    if not _at(data, position + 5, size, SELECT):
        return False
    for i in range(position + 12, end - 1):
        if data[i] < 48 or data[i] > 57:
            return False
        count = count * 10 + (data[i] - 48)
    found[0], found[1], found[2] = rows, position - first, count
    return True
