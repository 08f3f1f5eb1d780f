# Part of `_speed.pyx`: the masked cells of a chunk of rows, a column at a time.
#
# For: taking rows apart, the usual values of the usual columns through FF1 together (`_speed_ff1.pxi`), and rows together again.
# Not for: unusual values: a cell that is not exactly what a column's kind expects goes to the plain function of its mask, which decides
# what the pseudonym is; what is done here must give the same bytes, and a test compares them.
# Source: ADR 3 (constructions); PostgreSQL documentation 55.7 (DataRow).

from libc.string cimport memchr, memcmp, memset

from lockgate.masking.words import TWO_DIGIT_CALLING_CODES

cdef enum:
    IS_CARD = 1
    IS_PHONE = 2
    IS_ID = 4
    IS_DIGIT = 8
    IS_UPPER = 16
    IS_LOWER = 32
    LETTERS_MAX = 64      # longest number that is looked at, in letters
    DIGITS_MAX = 32       # most digits of one FF1 numeral string here: halves stay below 10 ** 16
    SLOTS = 256
    LAYOUTS = 16          # arrangements of digits that are remembered within a chunk
    CELLS_KEPT = 256      # longest cell that is remembered

cdef unsigned char[256] LETTER
cdef unsigned char[100] TWO_DIGITS
cdef unsigned char[200] PAIRS
cdef unsigned char[10] DOUBLED


cdef void _tables() except *:
    cdef int i
    memset(LETTER, 0, 256)
    for letters, flag in (
        (b"0123456789 -", IS_CARD), (b"0123456789 ().-/#*,;:xXeEtT+", IS_PHONE), (b"0123456789 .-/", IS_ID), (b"0123456789", IS_DIGIT),
        (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", IS_ID | IS_UPPER), (b"abcdefghijklmnopqrstuvwxyz", IS_ID | IS_LOWER),
    ):
        for i in letters:
            LETTER[i] |= <unsigned char>flag
    for i in range(100):
        PAIRS[2 * i], PAIRS[2 * i + 1] = i // 10, i % 10
    for i in range(10):
        DOUBLED[i] = 2 * i - (9 if i > 4 else 0)
    memset(TWO_DIGITS, 0, 100)
    for code in TWO_DIGIT_CALLING_CODES:
        TWO_DIGITS[<int>int(code) % 100] = 1


_tables()


cdef class Room:
    """Bytes that grow."""

    cdef unsigned char *data
    cdef Py_ssize_t size
    cdef Py_ssize_t _room

    def __cinit__(self):
        self.data = NULL
        self.size = self._room = 0

    def __dealloc__(self):
        free(self.data)

    cdef unsigned char *take(self, Py_ssize_t count) except NULL:
        """Room for some bytes more; valid until the next call."""
        cdef Py_ssize_t room
        cdef unsigned char *grown
        if count < 0 or count > 1 << 40:
            raise InvariantError("more bytes are asked for than there can be")
        if self.size + count > self._room or self.data == NULL:
            room = 2 * (self.size + count) + 256
            grown = <unsigned char *>realloc(self.data, room)
            if grown == NULL:
                raise MemoryError
            self.data, self._room = grown, room
        self.size += count
        return self.data + self.size - count


cdef struct Cell:
    const unsigned char *at
    Py_ssize_t size
    Py_ssize_t shown       # where the mask begins in the column's room
    const unsigned char *place  # where the value is written in the chunk, which is not where it is read when it had to be unescaped
    Py_ssize_t written     # bytes of that
    Py_ssize_t shown_size  # -1: NULL


cdef class Column:
    """A masked column: its cells of one chunk, and their masks.

    Args:
        many: the plain masks: a list of cells to a list of masks.
        kept: masks of cells seen before; None remembers nothing.
        kept_max: most of them.
    """

    cdef object many
    cdef dict kept
    cdef Py_ssize_t kept_max
    cdef Cell *cells
    cdef Py_ssize_t count
    cdef Py_ssize_t _room
    cdef Room room
    cdef list _others

    def __cinit__(self, many, dict kept, Py_ssize_t kept_max, *rest):
        self.many, self.kept, self.kept_max = many, kept, kept_max
        self.cells = NULL
        self.count = self._room = 0
        self.room = Room()
        self._others = []

    def __dealloc__(self):
        free(self.cells)

    cdef void clear(self) noexcept:
        self.count = 0
        self.room.size = 0

    cdef int gather(self, const unsigned char *at, Py_ssize_t size) except -1:
        """A cell more; `at` must stay valid until `show` has been called."""
        cdef Cell *grown
        cdef Py_ssize_t room
        if self.count == self._room:
            room = 2 * self._room + 64
            grown = <Cell *>realloc(self.cells, room * sizeof(Cell))
            if grown == NULL:
                raise MemoryError
            self.cells, self._room = grown, room
        self.cells[self.count].at = at
        self.cells[self.count].size = size
        self.cells[self.count].place = at
        self.cells[self.count].written = size
        self.cells[self.count].shown = 0
        self.cells[self.count].shown_size = -1
        self.count += 1
        return 0

    cdef int show(self) except -1:
        """Make all masks."""
        cdef Py_ssize_t i
        for i in range(self.count):
            self._others.append(i)
        self.rest()
        return 0

    cdef int rest(self) except -1:
        """The masks of the cells in `_others`, by the plain functions."""
        cdef Py_ssize_t i
        cdef Cell *cell
        if not self._others:
            return 0
        others, self._others = self._others, []
        wanted, where = [], []
        for i in others:
            cell = &self.cells[i]
            value = PyBytes_FromStringAndSize(<const char *>cell.at, cell.size)
            if self.kept is not None and value in self.kept:
                self._put(cell, self.kept[value])
            else:
                wanted.append(value)
                where.append(i)
        if wanted:
            shown = self.many(wanted)
            if len(shown) != len(wanted):
                raise InvariantError("there are not as many masks as values")
            for i, value, mask in zip(where, wanted, shown):
                self._put(&self.cells[i], mask)
                if self.kept is not None and len(value) <= CELLS_KEPT:
                    if len(self.kept) >= self.kept_max:
                        self.kept.clear()
                    self.kept[value] = mask
        return 0

    cdef int _put(self, Cell *cell, bytes mask) except -1:
        cdef Py_ssize_t size
        if mask is None:
            cell.shown_size = -1
            return 0
        size = len(mask)
        memcpy(self.room.take(size), PyBytes_AS_STRING(mask), size)
        cell.shown, cell.shown_size = self.room.size - size, size
        return 0


cdef class FixedColumn(Column):
    """Every value has the same mask, None for NULL."""

    cdef bytes _mask

    def __cinit__(self, many, dict kept, Py_ssize_t kept_max, bytes mask):
        self._mask = mask

    cdef int show(self) except -1:
        cdef Py_ssize_t i
        if self._mask is None:
            for i in range(self.count):
                self.cells[i].shown_size = -1
            return 0
        memcpy(self.room.take(len(self._mask)), PyBytes_AS_STRING(self._mask), len(self._mask))
        for i in range(self.count):
            self.cells[i].shown, self.cells[i].shown_size = 0, len(self._mask)
        return 0


cdef class YearColumn(Column):
    """Dates as ISO texts."""

    cdef int show(self) except -1:
        cdef Py_ssize_t i, k
        cdef Cell *cell
        cdef unsigned char *to
        cdef bint usual
        for i in range(self.count):
            cell = &self.cells[i]
            usual = cell.size == 10 and cell.at[4] == 45 and cell.at[7] == 45
            if usual:
                for k in range(10):
                    if k != 4 and k != 7 and not 48 <= cell.at[k] <= 57:
                        usual = False
                if cell.at[0] == 48 and cell.at[1] == 48 and cell.at[2] == 48 and cell.at[3] == 48:
                    usual = False
            if not usual:
                self._others.append(i)
                continue
            to = self.room.take(10)
            memcpy(to, cell.at, 4)
            memcpy(to + 4, b"-01-01", 6)
            cell.shown, cell.shown_size = self.room.size - 10, 10
        self.rest()
        return 0


cdef struct Slot:
    # The constant block of one (tweak, length); `known` says that it is filled, `key` for what.
    int key
    bint known
    int shape
    uint64_t high
    uint64_t low


cdef struct Layout:
    # Where the digits of a cell of `size` bytes are, and what is between them; eight bytes at a time, the last eight may overlap.
    Py_ssize_t size
    int found
    uint64_t[8] digits
    uint64_t[8] others
    unsigned char[LETTERS_MAX] places


cdef class FormColumn(Column):
    """Numbers written with digits, and letters where a national id has them: only these change, each for one of its kind.

    Args:
        form: `card`, `phone` or `id`.
        digits: the rounds in radix 10.
        prepare: (length, tweak) to (shape, high, low) of `digits`.
        mixed: the rounds in radix 2; None where letters are not expected.
        prepare_mixed: a pattern, one byte for the first letter of each place's kind, to (shape, high, low, bits of the low half) of
            `mixed`; None for one that has too few values, or too many for 62 bits.
        limit: longest value of the column.
    """

    cdef int _form
    cdef Py_ssize_t _limit
    cdef Rounds _digits
    cdef Rounds _mixed
    cdef object _prepare
    cdef object _prepare_mixed
    cdef Slot[SLOTS] _slots
    cdef Layout[LAYOUTS] _layouts
    cdef int _layout_count
    cdef int _last
    cdef Py_ssize_t _end
    cdef dict _patterns

    def __cinit__(self, many, dict kept, Py_ssize_t kept_max, str form, Rounds digits, prepare, Rounds mixed, prepare_mixed, Py_ssize_t limit):
        self._limit = min(limit, LETTERS_MAX)
        self._form = {"card": IS_CARD, "phone": IS_PHONE, "id": IS_ID}[form]
        self._digits, self._prepare, self._mixed, self._prepare_mixed = digits, prepare, mixed, prepare_mixed
        memset(self._slots, 0, sizeof(self._slots))
        self._patterns = {}

    cdef int show(self) except -1:
        cdef Py_ssize_t i, total = 0
        self._digits.count = 0
        if self._mixed is not None:
            self._mixed.count = 0
        if self._layout_count == LAYOUTS:
            self._layout_count = self._last = 0
        for i in range(self.count):
            total += self.cells[i].size
        self._end = self.room.size
        self.room.take(total)
        for i in range(self.count):
            if not self._add(i):
                self._others.append(i)
        self._finish_digits()
        if self._mixed is not None:
            self._finish_mixed()
        self.rest()
        return 0

    cdef bint _add(self, Py_ssize_t number) except -1:
        """Add a cell to the rounds; false when it is not a usual one."""
        cdef Cell *cell = &self.cells[number]
        cdef unsigned char[LETTERS_MAX] digits
        cdef int found = 0, letters = 0, kept = 0, flags, kind, last, layout, i
        cdef Layout *known
        cdef Item *item
        if not 0 < cell.size <= self._limit:
            return False
        layout = self._laid_out(cell)
        if layout >= 0:
            known = &self._layouts[layout]
            found = known.found
            for i in range(found):
                digits[i] = cell.at[known.places[i]] - 48
        else:
            for i in range(<int>cell.size):
                flags = LETTER[cell.at[i]]
                if not flags & self._form or (cell.at[i] == 43 and i):
                    return False
                if flags & IS_DIGIT:
                    digits[found] = cell.at[i] - 48
                    found += 1
                elif self._form == IS_ID and flags & (IS_UPPER | IS_LOWER):
                    letters += 1
            if letters:
                return self._add_mixed(number, found + letters)
            layout = self._lay_out(cell)
        kind = 0
        if self._form == IS_CARD:
            if not 6 < found <= DIGITS_MAX:
                return False
            kind = 1 if _luhn(digits, found - 1) == digits[found - 1] else 2
        elif self._form == IS_PHONE and cell.at[0] == 43:
            kept = _calling_code(digits, found)
        last = found - (kind == 1)
        if last - kept < 6 or last - kept > DIGITS_MAX:
            return False
        item = self._slot(digits, kept, kind, last - kept)
        item.a = _number(digits + kept, (last - kept) // 2)
        item.b = _number(digits + kept + (last - kept) // 2, (last - kept + 1) // 2)
        item.kind = kind | (kept << 8) | (last << 16) | ((layout + 1) << 24)
        item.cell = number
        self._copy(cell)
        return True

    cdef int _laid_out(self, Cell *cell) noexcept:
        """Number of the remembered arrangement that a cell has, -1 for none."""
        cdef int i
        if cell.size < 8:
            return -1
        if self._last < self._layout_count and _has_layout(&self._layouts[self._last], cell.at, cell.size):
            return self._last
        for i in range(self._layout_count):
            if _has_layout(&self._layouts[i], cell.at, cell.size):
                self._last = i
                return i
        return -1

    cdef int _lay_out(self, Cell *cell) noexcept:
        """Remember the arrangement of a cell that has digits and what may stand between them, if there is room."""
        cdef Layout *made
        cdef unsigned char[LETTERS_MAX] digits
        cdef unsigned char[LETTERS_MAX] others
        cdef Py_ssize_t i, at
        if cell.size < 8 or self._layout_count == LAYOUTS:
            return -1
        made = &self._layouts[self._layout_count]
        made.size, made.found = cell.size, 0
        for i in range(cell.size):
            digits[i], others[i] = 0, cell.at[i]
            if LETTER[cell.at[i]] & IS_DIGIT:
                digits[i], others[i] = 255, 0
                made.places[made.found] = <unsigned char>i
                made.found += 1
        for i in range((cell.size + 7) // 8):
            at = min(8 * i, cell.size - 8)
            memcpy(&made.digits[i], digits + at, 8)
            memcpy(&made.others[i], others + at, 8)
        self._layout_count += 1
        return self._layout_count - 1

    cdef void _copy(self, Cell *cell) noexcept:
        """Copy a cell to where it is changed; `show` has taken the room for all of them."""
        memcpy(self.room.data + self._end, cell.at, cell.size)
        cell.shown, cell.shown_size = self._end, cell.size
        self._end += cell.size

    cdef Item *_slot(self, unsigned char *digits, int kept, int kind, int length) except NULL:
        """A new item for a number of this length behind these kept digits."""
        cdef int key = length | (kind << 6) | (kept << 8), i
        cdef Slot *slot
        for i in range(kept):
            key = key * 10 + digits[i]
        slot = &self._slots[(key ^ (key >> 7)) & (SLOTS - 1)]
        if not slot.known or slot.key != key:
            if self._form == IS_ID:
                tweak = b"id"
            elif self._form == IS_CARD:
                tweak = b"luhn" if kind == 1 else b"other"
            else:
                tweak = b"+" + bytes([48 + digits[i] for i in range(kept)]) if kept else b""
            slot.shape, slot.high, slot.low = self._prepare(length, tweak)
            slot.key, slot.known = key, True
        return self._digits.add(slot.shape, slot.high, slot.low)

    cdef int _finish_digits(self) except -1:
        cdef unsigned char[LETTERS_MAX] digits
        cdef Item *item
        cdef Py_ssize_t i, left
        cdef int kept, last, length
        while self._digits.count:
            self._digits.run()
            left = 0
            for i in range(self._digits.count):
                item = &self._digits.items[i]
                kept, last = (item.kind >> 8) & 0xFF, (item.kind >> 16) & 0xFF
                length = last - kept
                _spell(digits, item.a, length // 2)
                _spell(digits + length // 2, item.b, (length + 1) // 2)
                if item.kind & 3 == 1:
                    digits[last] = _luhn(digits, last)
                elif item.kind & 3 == 2 and _luhn(digits, last - 1) == digits[last - 1]:
                    self._digits.items[left] = item[0]  # cycle walking: once more
                    left += 1
                    continue
                if item.kind >> 24:
                    self._place_known(item.cell, digits, kept, &self._layouts[(item.kind >> 24) - 1])
                else:
                    self._place(item.cell, digits, kept)
            self._digits.count = left
        return 0

    cdef void _place(self, Py_ssize_t number, unsigned char *digits, int kept) noexcept:
        """Put digits where digits stand, behind those that are kept."""
        cdef Cell *cell = &self.cells[number]
        cdef unsigned char *to = self.room.data + cell.shown
        cdef Py_ssize_t i
        for i in range(cell.size):
            if LETTER[to[i]] & IS_DIGIT:
                if kept:
                    kept -= 1
                else:
                    to[i] = digits[0] + 48
                    digits += 1

    cdef void _place_known(self, Py_ssize_t number, const unsigned char *digits, int kept, const Layout *layout) noexcept:
        """As `_place`, for a cell of this arrangement."""
        cdef unsigned char *to = self.room.data + self.cells[number].shown
        cdef int i
        for i in range(kept, layout.found):
            to[layout.places[i]] = digits[i - kept] + 48

    cdef bint _add_mixed(self, Py_ssize_t number, int places) except -1:
        cdef Cell *cell = &self.cells[number]
        cdef unsigned char[LETTERS_MAX] pattern
        cdef uint64_t rank = 0
        cdef int flags, found = 0, half
        cdef Py_ssize_t i
        cdef Item *item
        if self._mixed is None:
            return False
        for i in range(cell.size):
            flags = LETTER[cell.at[i]]
            if flags & (IS_DIGIT | IS_UPPER | IS_LOWER):
                pattern[found] = 48 if flags & IS_DIGIT else (65 if flags & IS_UPPER else 97)
                found += 1
        key = PyBytes_FromStringAndSize(<const char *>pattern, found)
        known = self._patterns.get(key, False)
        if known is False:
            known = self._prepare_mixed(key)
            if len(self._patterns) >= SLOTS:
                self._patterns.clear()
            self._patterns[key] = known
        if known is None:
            return False
        found = 0
        for i in range(cell.size):
            flags = LETTER[cell.at[i]]
            if flags & (IS_DIGIT | IS_UPPER | IS_LOWER):
                rank = rank * (10 if flags & IS_DIGIT else 26) + (cell.at[i] - pattern[found])
                found += 1
        shape, high, low, half = known
        item = self._mixed.add(shape, high, low)
        item.a, item.b = rank >> half, rank & (((<uint64_t>1) << half) - 1)
        item.cell, item.kind = number, half
        self._copy(cell)
        return True

    cdef int _finish_mixed(self) except -1:
        cdef Item *item
        cdef Cell *cell
        cdef Py_ssize_t i, k, left
        cdef uint64_t rank, rest
        cdef unsigned char *to
        cdef int flags, radix
        while self._mixed.count:
            self._mixed.run()
            left = 0
            for i in range(self._mixed.count):
                item = &self._mixed.items[i]
                cell = &self.cells[item.cell]
                rank = (item.a << item.kind) | item.b
                to = self.room.data + cell.shown
                # Outside the range is what has something left when every place has its part: cycle walking, once more.
                rest = rank
                for k in range(cell.size):
                    flags = LETTER[cell.at[k]]
                    if flags & (IS_DIGIT | IS_UPPER | IS_LOWER):
                        rest = rest // <uint64_t>(10 if flags & IS_DIGIT else 26)
                if rest:
                    self._mixed.items[left] = item[0]
                    left += 1
                    continue
                for k in range(cell.size - 1, -1, -1):
                    flags = LETTER[cell.at[k]]
                    if flags & (IS_DIGIT | IS_UPPER | IS_LOWER):
                        radix = 10 if flags & IS_DIGIT else 26
                        to[k] = <unsigned char>(rank % <uint64_t>radix) + (48 if flags & IS_DIGIT else (65 if flags & IS_UPPER else 97))
                        rank = rank // <uint64_t>radix
            self._mixed.count = left
        return 0


cdef inline bint _has_layout(const Layout *layout, const unsigned char *at, Py_ssize_t size) noexcept nogil:
    """Whether a cell has its digits where a remembered one has them, and the same between them."""
    cdef Py_ssize_t i
    cdef uint64_t word, digits
    if layout.size != size:
        return False
    for i in range((size + 7) // 8):
        memcpy(&word, at + (8 * i if 8 * i < size - 8 else size - 8), 8)
        digits = layout.digits[i]
        if (word & ~digits) != layout.others[i]:
            return False
        # Of a byte below 128, adding 0x46 sets the highest bit when it is above a digit, subtracting 0x30 when it is below one.
        word = word & digits
        if (word | (word + (0x4646464646464646ULL & digits)) | (word - (0x3030303030303030ULL & digits))) & 0x8080808080808080ULL:
            return False
    return True


cdef inline int _luhn(const unsigned char *digits, int count) noexcept nogil:
    """The check digit behind so many digits."""
    cdef int total = 0, i = count - 1
    while i > 0:
        total += DOUBLED[digits[i]] + digits[i - 1]
        i -= 2
    if i == 0:
        total += DOUBLED[digits[0]]
    return (10 - total % 10) % 10


cdef inline uint64_t _number(const unsigned char *digits, int count) noexcept nogil:
    cdef uint64_t value = 0
    cdef int i
    for i in range(count):
        value = value * 10 + digits[i]
    return value


cdef inline void _spell(unsigned char *digits, uint64_t value, int count) noexcept nogil:
    cdef uint64_t pair
    while count > 1:
        pair = value % 100
        value = value // 100
        count -= 2
        memcpy(digits + count, PAIRS + 2 * pair, 2)
    if count:
        digits[0] = <unsigned char>(value % 10)


cdef int _calling_code(const unsigned char *digits, int found) except -1:
    """`words.calling_code_length`."""
    if not found:
        return 3
    if digits[0] in (0, 1, 7):
        return 1
    if found > 1 and TWO_DIGITS[10 * digits[0] + digits[1]]:
        return 2
    return 3
