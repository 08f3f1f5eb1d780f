# Part of `_speed.pyx`: rows of a chunk taken apart and put together again, and the columns of whole numbers.
#
# For: `masking.batches.Batches` in C. A row that is malformed, or has another number of columns, is an error.
# Not for: the masks of texts (`_speed_masks.pxi`, `_speed_tokens.pxi`).

cdef struct Range:
    # The numbers that are permuted among themselves: from `first`, as many as `size`.
    bint known
    bint usual
    uint64_t first
    uint64_t size
    int shape
    int half
    uint64_t high
    uint64_t low


cdef class IntegerColumn(Column):
    """Whole numbers of 4 or 8 bytes: `masking.numerals.Numerals.integer`.

    Args:
        width: bytes of the type.
        binary: the values are in binary, else in text.
        rounds: the rounds in radix 2.
        prepare: a value to (first, size, shape, high, low, bits of the low half) of the numbers that it is permuted among, or None.
    """

    cdef int _width
    cdef bint _binary
    cdef Rounds _rounds
    cdef object _prepare
    cdef Range[64] _ranges

    def __cinit__(self, many, dict kept, Py_ssize_t kept_max, int width, bint binary, Rounds rounds, prepare):
        if width not in (4, 8):
            raise InvariantError("an integer has another width")
        self._width, self._binary, self._rounds, self._prepare = width, binary, rounds, prepare
        memset(self._ranges, 0, sizeof(self._ranges))

    cdef int show(self) except -1:
        cdef Py_ssize_t i, left
        cdef Item *item
        cdef Range *found
        cdef uint64_t value
        self._rounds.count = 0
        for i in range(self.count):
            if not self._add(i):
                self._others.append(i)
        while self._rounds.count:
            self._rounds.run()
            left = 0
            for i in range(self._rounds.count):
                item = &self._rounds.items[i]
                found = &self._ranges[item.kind]
                value = (item.a << found.half) | item.b
                if value >= found.size:
                    self._rounds.items[left] = item[0]  # cycle walking: once more
                    left += 1
                else:
                    self._write(item.cell, found.first + value, item.kind >= 32)
            self._rounds.count = left
        self.rest()
        return 0

    cdef bint _add(self, Py_ssize_t number) except -1:
        cdef Cell *cell = &self.cells[number]
        cdef uint64_t value = 0
        cdef bint negative = False
        cdef Py_ssize_t i
        cdef int kind, digits
        cdef Range *found
        cdef Item *item
        if self._binary:
            if cell.size != self._width:
                return False
            negative = cell.at[0] >> 7
            for i in range(self._width):
                value = (value << 8) | <unsigned char>(~cell.at[i] if negative else cell.at[i])
            value += negative
        else:
            negative = cell.size > 0 and cell.at[0] == 45
            if not 0 < cell.size - negative <= 18:
                return False
            for i in range(negative, cell.size):
                if not 48 <= cell.at[i] <= 57:
                    return False
                value = value * 10 + (cell.at[i] - 48)
            negative = negative and value
        if value > (<uint64_t>1 << (8 * self._width - 1)) - 1:
            return False
        digits = 0
        if value >= (10000000 if negative else 1000000):
            while digits < 19 and value >= POWERS[digits + 1]:
                digits += 1
        kind = digits + 32 * negative
        found = &self._ranges[kind]
        if not found.known:
            prepared = self._prepare(-<object>value if negative else <object>value)
            found.known, found.usual = True, prepared is not None
            if prepared is not None:
                found.first, found.size, found.shape, found.high, found.low, found.half = prepared
        if not found.usual or value < found.first or value - found.first >= found.size:
            return False
        item = self._rounds.add(found.shape, found.high, found.low)
        value -= found.first
        item.a, item.b = value >> found.half, value & (((<uint64_t>1) << found.half) - 1)
        item.cell, item.kind = number, kind
        return True

    cdef void _write(self, Py_ssize_t number, uint64_t value, bint negative) except *:
        cdef Cell *cell = &self.cells[number]
        cdef unsigned char[24] digits
        cdef unsigned char *to
        cdef int i = 24, size
        if self._binary:
            to = self.room.take(self._width)
            if negative:
                value = ~value + 1
            for i in range(self._width):
                to[self._width - 1 - i] = <unsigned char>(value >> (8 * i))
            size = self._width
        else:
            while value or i == 24:
                i -= 1
                digits[i] = 48 + <unsigned char>(value % 10)
                value = value // 10
            if negative:
                i -= 1
                digits[i] = 45
            size = 24 - i
            memcpy(self.room.take(size), digits + i, size)
        cell.shown, cell.shown_size = self.room.size - size, size


cdef uint64_t[20] POWERS


cdef void _powers() noexcept:
    cdef int i
    POWERS[0] = 1
    for i in range(1, 20):
        POWERS[i] = 10 * POWERS[i - 1]


_powers()


cdef class Masks:
    """The columns of one result.

    Args:
        columns: what masks each output column, None where it stays.
    """

    cdef list _columns
    cdef list _hidden
    cdef Py_ssize_t _count

    def __cinit__(self, list columns):
        self._columns, self._count = columns, len(columns)
        self._hidden = [column for column in columns if column is not None]
        for column in self._hidden:
            if not isinstance(column, Column):
                raise InvariantError("a column's masks are of another kind")

    def mask(self, bytes span, bint apart):
        """Whole DataRow messages to (the masked ones, rows, cells masked of each column); `apart` gives a list of their bodies."""
        cdef const unsigned char[:] data = span
        cdef Py_ssize_t size = data.shape[0], start = 0, end, rows = 0, total = 0
        cdef Column column
        for column in self._hidden:
            column.clear()
        while start < size:
            end = self._row(data, start)
            start = end
            rows += 1
        if not rows:
            return [] if apart else b"", 0, [0] * self._count
        for column in self._hidden:
            column.show()
        shown = self._together(data, apart)
        return shown, rows, [0 if c is None else (<Column>c).count for c in self._columns]

    cdef Py_ssize_t _row(self, const unsigned char[:] data, Py_ssize_t start) except -1:
        """Gather the cells of one row; gives where it ends."""
        cdef Py_ssize_t position = start + 7, end, number
        cdef long long length
        cdef Column column
        cdef const unsigned char *first = &data[0]
        if position > data.shape[0] or data[start] != 68:
            raise BackendProtocolError("a span of rows holds something else")
        end = start + 1 + _int32(data, start + 1)
        if end > data.shape[0] or end < position or ((data[start + 5] << 8) | data[start + 6]) != self._count:
            raise BackendProtocolError("a row has another number of columns than was planned")
        for number in range(self._count):
            if position + 4 > end:
                raise BackendProtocolError("a row ends inside the length of a value")
            length = _int32(data, position)
            position += 4
            if length == -1:
                continue
            if length < 0 or position + length > end:
                raise BackendProtocolError("a value is longer than its row")
            one = self._columns[number]
            if one is not None:
                (<Column>one).gather(first + position, length)
            position += length
        if position != end:
            raise BackendProtocolError("a row has bytes after its last value")
        return end

    cdef object _together(self, const unsigned char[:] data, bint apart):
        cdef Py_ssize_t size = data.shape[0], start = 0, end, i, total = size, hidden = len(self._hidden)
        cdef const unsigned char *first = &data[0]
        cdef Column column
        cdef Cell *cell
        cdef list bodies = []
        cdef bytes made
        cdef unsigned char *out
        for column in self._hidden:
            for i in range(column.count):
                total += max(column.cells[i].shown_size, 0) - column.cells[i].size
        made = PyBytes_FromStringAndSize(NULL, total)
        out = <unsigned char *>PyBytes_AS_STRING(made)
        cdef unsigned char *stop = out + total
        cdef unsigned char *head
        cdef Py_ssize_t[:] cursor = array("q", bytes(8 * hidden + 8))
        cdef const unsigned char *copied
        while start < size:
            end = start + 1 + _int32(data, start + 1)
            head = out
            copied = first + start
            for i in range(hidden):
                column = <Column>self._hidden[i]
                if cursor[i] >= column.count or column.cells[cursor[i]].at > first + end:
                    continue
                cell = &column.cells[cursor[i]]
                cursor[i] += 1
                if stop - out < (cell.at - copied) + max(cell.shown_size, 0):
                    raise InvariantError("a row does not fit its place")
                memcpy(out, copied, cell.at - copied)
                out += cell.at - copied
                _put32(out - 4, cell.shown_size)
                if cell.shown_size > 0:
                    memcpy(out, column.room.data + cell.shown, cell.shown_size)
                    out += cell.shown_size
                copied = cell.at + cell.size
            if stop - out < first + end - copied:
                raise InvariantError("a row does not fit its place")
            memcpy(out, copied, first + end - copied)
            out += first + end - copied
            if out - head - 1 > 0x7FFFFFFF:
                raise BackendProtocolError("a row is longer than the protocol allows")
            _put32(head + 1, out - head - 1)
            if apart:
                bodies.append(PyBytes_FromStringAndSize(<const char *>head + 5, out - head - 5))
            start = end
        if out != stop:
            raise InvariantError("rows do not fit their place")
        return bodies if apart else made


cdef inline void _put32(unsigned char *to, long long value) noexcept nogil:
    to[0], to[1], to[2], to[3] = (value >> 24) & 0xFF, (value >> 16) & 0xFF, (value >> 8) & 0xFF, value & 0xFF


def whole(const unsigned char[:] front, Py_ssize_t position, int first, int second):
    """`wire.postgres.frames.whole_rows`: as `scan`, but only messages that are there to their end."""
    cdef Py_ssize_t size = front.shape[0], rows = 0
    cdef long long length
    if position < 0:
        return position, 0
    while position <= size - 5:
        if front[position] != first and front[position] != second:
            break
        length = _int32(front, position + 1)
        if length < 4 or position + 1 + length > size:
            break
        rows += 1
        position += length + 1
    return position, rows
