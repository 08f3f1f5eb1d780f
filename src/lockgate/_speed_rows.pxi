# Part of `_speed.pyx`: rows of a chunk taken apart and put together again, and the columns of whole numbers.
#
# For: `masking.batches.Batches` in C. A row that is malformed, or has another number of columns, is an error.
# Not for: the masks of texts (`_speed_masks.pxi`, `_speed_tokens.pxi`).

cdef extern from "_marks.h" nogil:
    uint64_t lg_marks(const unsigned char *, int, unsigned char, unsigned char)
    int lg_first(uint64_t)
    bint lg_plain(const unsigned char *, long, unsigned char, unsigned char)


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
    cdef list _unescaped
    cdef Py_ssize_t _count
    cdef bytes _is_hidden

    def __cinit__(self, list columns):
        self._columns, self._count, self._unescaped = columns, len(columns), []
        self._hidden = [column for column in columns if column is not None]
        self._is_hidden = bytes([column is not None for column in columns])
        for column in self._hidden:
            if not isinstance(column, Column):
                raise InvariantError("a column's masks are of another kind")

    def mask(self, bytes span, bint apart):
        """Whole DataRow messages to (the masked ones, rows, cells masked of each column); `apart` gives a list of their bodies."""
        return self._rows(span, 68, apart)

    def copied(self, bytes span, str form, int delimiter, int quote, bytes null, frozenset forced):
        """Whole CopyData messages, each with one row in this form, as `mask`; None when they are anything else.

        Args:
            form: `text`, `csv` or `binary`.
            delimiter: between values.
            quote: of CSV, which is its own escape.
            null: what NULL looks like.
            forced: columns that CSV quotes always.
        """
        cdef const unsigned char[:] data = span
        cdef const unsigned char *first
        cdef Py_ssize_t size = data.shape[0], start = 0, end, rows = 0
        if form == "binary":
            return self._rows(span, 100, False) if _are_rows(data, self._count) else None
        if not size:
            return None
        first = &data[0]
        self._clear()
        while start < size:
            if start + 6 > size or data[start] != 100:
                return None
            end = start + 1 + _read32(first + start + 1)
            if end <= start + 5 or end > size or data[end - 1] != 10:
                return None
            if not (self._text_row(first + start + 5, first + end - 1, delimiter) if form == "text"
                    else self._csv_row(first + start + 5, first + end - 1, delimiter, quote, null)):
                self._clear()
                return None
            rows += 1
            start = end
        self._show()
        shown = self._copied_together(data, form == "csv", delimiter, quote, null, forced)
        counts = self._counts()
        self._unescaped = []
        return shown, rows, counts

    cdef void _clear(self) except *:
        cdef Column column
        self._unescaped = []
        for one in self._hidden:
            (<Column>one).clear()

    cdef int _show(self) except -1:
        for one in self._hidden:
            (<Column>one).show()
        return 0

    cdef list _counts(self):
        return [0 if c is None else (<Column>c).count for c in self._columns]

    cdef object _rows(self, bytes span, int tag, bint apart):
        cdef const unsigned char[:] data = span
        cdef Py_ssize_t size = data.shape[0], start = 0, rows = 0
        self._clear()
        while start < size:
            start = self._row(data, start, tag)
            rows += 1
        if not rows:
            return [] if apart else b"", 0, [0] * self._count
        self._show()
        return self._together(data, apart), rows, self._counts()

    cdef Py_ssize_t _row(self, const unsigned char[:] data, Py_ssize_t start, int tag) except -1:
        """Gather the cells of one row; gives where it ends."""
        cdef Py_ssize_t position = start + 7, end, number
        cdef long long length
        cdef const unsigned char *first = &data[0]
        if position > data.shape[0] or data[start] != tag:
            raise BackendProtocolError("a span of rows holds something else")
        end = start + 1 + _read32(first + start + 1)
        if end > data.shape[0] or end < position or ((data[start + 5] << 8) | data[start + 6]) != self._count:
            raise BackendProtocolError("a row has another number of columns than was planned")
        for number in range(self._count):
            if position + 4 > end:
                raise BackendProtocolError("a row ends inside the length of a value")
            length = _read32(first + position)
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
                total -= column.cells[i].size
                if column.cells[i].shown_size > 0:
                    total += column.cells[i].shown_size
        made = PyBytes_FromStringAndSize(NULL, total)
        out = <unsigned char *>PyBytes_AS_STRING(made)
        cdef unsigned char *stop = out + total
        cdef unsigned char *head
        cdef Py_ssize_t[::1] cursor = array("q", bytes(8 * hidden + 8))
        cdef const unsigned char *copied
        while start < size:
            end = start + 1 + _read32(first + start + 1)
            head = out
            copied = first + start
            for i in range(hidden):
                column = <Column>self._hidden[i]
                if cursor[i] >= column.count or column.cells[cursor[i]].at > first + end:
                    continue
                cell = &column.cells[cursor[i]]
                cursor[i] += 1
                if stop - out < (cell.at - copied) + (cell.shown_size if cell.shown_size > 0 else 0):
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

    # COPY data

    cdef bint _text_row(self, const unsigned char *at, const unsigned char *end, int delimiter) except -1:
        """Gather the cells of one line, without its end; false when it is no row of these columns."""
        cdef const unsigned char *start = at
        cdef const unsigned char *here
        cdef const unsigned char *taken = at  # what is before this is decided
        cdef bint escaped = False
        cdef Py_ssize_t number = 0, length
        cdef uint64_t marks
        if memchr(at, 10, end - at) != NULL:
            return False
        while at < end:
            length = min(64, end - at)
            marks = lg_marks(at, <int>length, <unsigned char>delimiter, 92)
            while marks:
                here = at + lg_first(marks)
                marks &= marks - 1
                if here < taken:
                    continue
                if here[0] != delimiter:
                    if here + 1 == end:
                        return False
                    escaped, taken = True, here + 2
                    continue
                if number >= self._count - 1:
                    return False
                self._text_cell(number, start, here, escaped)
                number += 1
                start, escaped = here + 1, False
            at += length
        if number != self._count - 1:
            return False
        self._text_cell(number, start, end, escaped)
        return True

    cdef inline int _text_cell(self, Py_ssize_t number, const unsigned char *start, const unsigned char *end, bint escaped) except -1:
        if not PyBytes_AS_STRING(self._is_hidden)[number] or (end - start == 2 and start[0] == 92 and start[1] == 78):
            return 0
        if escaped:
            return self._gather(<Column>self._columns[number], start, end, _unescape(start, end))
        return (<Column>self._columns[number]).gather(start, end - start)

    cdef bint _bare_row(self, const unsigned char *at, const unsigned char *end, int delimiter, bytes null) except -1:
        """As `_csv_row`, of a line in which nothing is quoted."""
        cdef const unsigned char *start = at
        cdef const unsigned char *here
        cdef Py_ssize_t number = 0, length, nothing = PyBytes_GET_SIZE(null)
        cdef const char *hidden = PyBytes_AS_STRING(self._is_hidden)
        cdef uint64_t marks
        while at <= end:
            length = min(64, end - at)
            marks = lg_marks(at, <int>length, <unsigned char>delimiter, <unsigned char>delimiter)
            while True:
                if marks:
                    here = at + lg_first(marks)
                    marks &= marks - 1
                elif at + length == end:
                    here = end
                else:
                    break
                if number >= self._count or (here == end) != (number == self._count - 1):
                    return False
                if hidden[number] and not (
                    here - start == nothing and memcmp(start, PyBytes_AS_STRING(null), nothing) == 0
                ):
                    (<Column>self._columns[number]).gather(start, here - start)
                if here == end:
                    return True
                number += 1
                start = here + 1
            at += length
        return False

    cdef bint _csv_row(self, const unsigned char *at, const unsigned char *end, int delimiter, int quote, bytes null) except -1:
        """As `_text_row`, for CSV."""
        cdef const unsigned char *start
        cdef bint quoted, doubled
        cdef Py_ssize_t number
        if at < end and memchr(at, quote, end - at) == NULL and memchr(at, 10, end - at) == NULL and memchr(at, 13, end - at) == NULL:
            return self._bare_row(at, end, delimiter, null)
        for number in range(self._count):
            start, quoted, doubled = at, at < end and at[0] == quote, False
            if quoted:
                at += 1
                while True:
                    at = <const unsigned char *>memchr(at, quote, end - at) if at < end else NULL
                    if at == NULL:
                        return False
                    at += 1
                    if at == end or at[0] != quote:
                        break
                    doubled = True
                    at += 1
                if at < end and at[0] != delimiter:
                    return False
            else:
                while at < end and at[0] != delimiter:
                    if at[0] == quote or at[0] == 10 or at[0] == 13:
                        return False
                    at += 1
            if (at < end) != (number < self._count - 1):
                return False
            one = self._columns[number]
            if one is not None and quoted:
                value = PyBytes_FromStringAndSize(<const char *>start + 1, at - start - 2)
                self._gather(<Column>one, start, at, value.replace(bytes((quote, quote)), bytes((quote,))) if doubled else value)
            elif one is not None and not (at - start == len(null) and memcmp(start, PyBytes_AS_STRING(null), len(null)) == 0):
                self._gather(<Column>one, start, at, None)
            at += 1
        return True

    cdef int _gather(self, Column column, const unsigned char *start, const unsigned char *end, bytes value) except -1:
        """A value, where it is written, and what it is when that is something else."""
        if value is None:
            column.gather(start, end - start)
        else:
            self._unescaped.append(value)  # keeps it alive until it is masked
            column.gather(<const unsigned char *>PyBytes_AS_STRING(value), len(value))
            column.cells[column.count - 1].place = start
            column.cells[column.count - 1].written = end - start
        return 0

    cdef object _copied_together(self, const unsigned char[:] data, bint csv, int delimiter, int quote, bytes null, frozenset forced):
        cdef Py_ssize_t size = data.shape[0], start = 0, end, i, hidden = len(self._hidden), length
        cdef const unsigned char *first = &data[0]
        cdef const unsigned char *copied
        cdef Column column
        cdef Cell *cell
        cdef Room room = Room()
        cdef Py_ssize_t head
        cdef Py_ssize_t[::1] cursor = array("q", bytes(8 * hidden + 8))
        cdef bint single = self._count == 1
        cdef unsigned char *to
        cdef unsigned char also = <unsigned char>quote if csv else 92
        cdef bint fits
        numbers = [number for number, one in enumerate(self._columns) if one is not None]
        forcing = bytes([number in forced or single for number in numbers])
        cdef const char *forces = PyBytes_AS_STRING(forcing)
        cdef Py_ssize_t nothing = PyBytes_GET_SIZE(null)
        room.take(size + (size >> 2))  # most of what is needed, at once
        room.size = 0
        cdef unsigned char[256] special
        memset(special, 0, 256)
        if csv:
            special[delimiter] = special[quote] = special[10] = special[13] = 1
        else:
            special[delimiter] = special[92] = 1
            memset(special + 8, 1, 6)
        while start < size:
            end = start + 1 + _read32(first + start + 1)
            head = room.size
            copied = first + start
            for i in range(hidden):
                column = <Column>self._hidden[i]
                if cursor[i] >= column.count or column.cells[cursor[i]].place >= first + end:
                    continue
                cell = &column.cells[cursor[i]]
                cursor[i] += 1
                length = cell.place - copied
                fits = cell.shown_size >= 0 and not (csv and (forces[i] or cell.shown_size == nothing)) and lg_plain(
                    column.room.data + cell.shown, cell.shown_size, <unsigned char>delimiter, also
                )
                if fits:
                    to = room.take(length + cell.shown_size)
                    memcpy(to, copied, length)
                    memcpy(to + length, column.room.data + cell.shown, cell.shown_size)
                    copied = cell.place + cell.written
                    continue
                memcpy(room.take(length), copied, length)
                copied = cell.place + cell.written
                if cell.shown_size < 0:
                    memcpy(room.take(len(null)), PyBytes_AS_STRING(null), len(null))
                elif csv:
                    _csv_value(room, column.room.data + cell.shown, cell.shown_size, special, quote, null, numbers[i] in forced, single)
                else:
                    _text_value(room, column.room.data + cell.shown, cell.shown_size, special)
            length = first + end - copied
            memcpy(room.take(length), copied, length)
            if room.size - head - 1 > 0x7FFFFFFF:
                raise BackendProtocolError("a row is longer than the protocol allows")
            _put32(room.data + head + 1, room.size - head - 1)
            start = end
        return PyBytes_FromStringAndSize(<const char *>room.data, room.size)


cdef bint _are_rows(const unsigned char[:] data, Py_ssize_t count) except -1:
    """Whether these are CopyData messages that each begin as a row of so many columns does."""
    cdef Py_ssize_t size = data.shape[0], start = 0
    while start < size:
        if start + 7 > size or data[start] != 100 or ((data[start + 5] << 8) | data[start + 6]) != count:
            return False
        if _read32(&data[start + 1]) < 6:
            return False
        start += 1 + _read32(&data[start + 1])
    return start == size and size > 0


cdef bytes _unescape(const unsigned char *at, const unsigned char *end):
    cdef bytearray value = bytearray()
    while at < end:
        if at[0] == 92 and at + 1 < end:
            at += 1
            value.append({98: 8, 102: 12, 110: 10, 114: 13, 116: 9, 118: 11}.get(at[0], at[0]))
        else:
            value.append(at[0])
        at += 1
    return bytes(value)


cdef int _text_value(Room room, const unsigned char *at, Py_ssize_t size, const unsigned char *special) except -1:
    cdef Py_ssize_t i, found = 0
    cdef unsigned char *to
    for i in range(size):
        found += special[at[i]]
    to = room.take(size + found)
    if not found:
        memcpy(to, at, size)
        return 0
    for i in range(size):
        if special[at[i]]:
            to[0] = 92
            to[1] = at[i]
            if 8 <= at[i] <= 13:
                to[1] = b"btnvfr"[at[i] - 8]
            to += 2
        else:
            to[0] = at[i]
            to += 1
    return 0


cdef int _csv_value(
    Room room, const unsigned char *at, Py_ssize_t size, const unsigned char *special, int quote, bytes null, bint forced, bint single
) except -1:
    cdef Py_ssize_t i
    cdef bint quoted = forced or (single and size == 2 and at[0] == 92 and at[1] == 46)
    for i in range(size):
        if special[at[i]]:
            quoted = True
    if size == len(null) and memcmp(at, PyBytes_AS_STRING(null), size) == 0:
        quoted = True
    if not quoted:
        memcpy(room.take(size), at, size)
        return 0
    value = PyBytes_FromStringAndSize(<const char *>at, size)
    mark = bytes((quote,))
    made = mark + value.replace(mark, mark + mark) + mark
    memcpy(room.take(len(made)), PyBytes_AsString(made), len(made))
    return 0


cdef inline long long _read32(const unsigned char *at) noexcept nogil:
    """A signed 32-bit integer where the caller has checked that there are four bytes."""
    cdef long long value = (<long long>at[0] << 24) | (at[1] << 16) | (at[2] << 8) | at[3]
    return value - 4294967296LL if value >= 2147483648LL else value


cdef inline void _put32(unsigned char *to, long long value) noexcept nogil:
    to[0], to[1], to[2], to[3] = (value >> 24) & 0xFF, (value >> 16) & 0xFF, (value >> 8) & 0xFF, value & 0xFF


def whole(const unsigned char[::1] front, Py_ssize_t position, int first, int second):
    """`wire.postgres.frames.whole_rows`: as `scan`, but only messages that are there to their end."""
    cdef Py_ssize_t size = front.shape[0], rows = 0
    cdef long long length
    if position < 0:
        return position, 0
    while position <= size - 5:
        if front[position] != first and front[position] != second:
            break
        length = _int32(&front[0], position + 1, front.shape[0])
        if length < 4 or position + 1 + length > size:
            break
        rows += 1
        position += length + 1
    return position, rows
