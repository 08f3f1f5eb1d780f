# Part of `_speed.pyx`: texts as tokens: names and e-mail addresses.
#
# For: `masking.tokens.TokenMaker.encode` over many texts, and what `masking.people` makes of the tokens.
# Not for: texts of more than TEXT_MAX bytes, addresses that are no plain ASCII and anything that does not fit its column, which go to the plain functions.
# Source: ADR 3, sections 2 and 4.

from lockgate.masking.words import FAMILY_NAMES, GIVEN_NAMES

cdef enum:
    TEXT_MAX = 99         # longest text; padded it has at most 100 bytes
    NARROW_MAX = 20       # longest padded text whose halves are numbers; those of longer ones are added byte by byte
    DOMAINS_KEPT = 4096
    DOMAIN_SLOTS = 8192

cdef const char *BASE32 = b"abcdefghijklmnopqrstuvwxyz234567"
cdef list WORDS = [f"{given} {family}-".encode("ascii") for given in GIVEN_NAMES for family in FAMILY_NAMES]
cdef int WORDS_MAX = max(len(words) for words in WORDS)


cdef struct Wide:
    # A padded text that is too long for `Item`: `bytes` is where it stands in the room of its rounds.
    Py_ssize_t bytes
    Py_ssize_t cell
    int length
    unsigned char[16] chain
    unsigned char[16] prefix


cdef class WideRounds:
    """FF1 in radix 256 on padded texts of more than 20 bytes: block by block, each step one AES call for all that wait."""

    cdef object _aes
    cdef Room texts
    cdef Room _items
    cdef Room _blocks
    cdef Room _sealed

    def __cinit__(self, aes):
        self._aes = aes
        self.texts, self._items, self._blocks, self._sealed = Room(), Room(), Room(), Room()

    cdef void clear(self) noexcept:
        self.texts.size = self._items.size = 0

    cdef Py_ssize_t count(self) noexcept:
        return self._items.size // <Py_ssize_t>sizeof(Wide)

    cdef Wide *at(self, Py_ssize_t number) noexcept:
        return (<Wide *>self._items.data) + number

    cdef unsigned char *add(self, Py_ssize_t cell, int length, bytes chain, bytes prefix) except NULL:
        """Room for a padded text."""
        cdef Wide *item = <Wide *>self._items.take(sizeof(Wide))
        cdef int half = length - length // 2
        if len(chain) != 16 or len(prefix) != 15 - half % 16 or not NARROW_MAX < length <= TEXT_MAX + 1:
            self._items.size -= sizeof(Wide)
            raise InvariantError("a prepared length does not fit")
        item.bytes, item.cell, item.length = self.texts.size, cell, length
        memcpy(item.chain, PyBytes_AS_STRING(chain), 16)
        memcpy(item.prefix, PyBytes_AS_STRING(prefix), len(prefix))
        return self.texts.take(length)

    cdef int run(self) except -1:
        """The ten rounds. A step takes the items that still have a block for it; those that do not keep their state."""
        cdef int number
        for number in range(10 if self.count() else 0):
            self._round(number)
        return 0

    cdef int _call(self, Py_ssize_t count) except -1:
        cdef bytearray out = bytearray(16 * count + 15)
        cdef const unsigned char[:] made = out
        self._aes(PyBytes_FromStringAndSize(<char *>self._blocks.data, 16 * count), out)
        memcpy(self._sealed.data, &made[0], 16 * count)
        return 0

    cdef int _round(self, int number) except -1:
        cdef Py_ssize_t count = self.count(), i, k
        cdef int width, shorter, blocks, most = 0, step, place, d, size, carry, total, streams
        cdef Wide *item
        cdef unsigned char *text
        cdef unsigned char *state
        cdef unsigned char byte
        cdef Py_ssize_t waiting
        self._blocks.size = self._sealed.size = 0
        # State of each item, then room for the blocks of a call; the stream of each item.
        cdef Room states = Room(), streams_room = Room()
        cdef unsigned char *all_states = states.take(16 * count)
        cdef unsigned char *stream = streams_room.take(80 * count)
        self._blocks.take(16 * count)
        self._sealed.take(16 * count)
        for i in range(count):
            item = self.at(i)
            memcpy(all_states + 16 * i, item.chain, 16)
            width = item.length - item.length // 2
            most = max(most, (width + 16) // 16)
        for step in range(most):
            waiting = 0
            for i in range(count):
                item = self.at(i)
                width = item.length - item.length // 2
                blocks = (width + 16) // 16
                if step >= blocks:
                    continue
                state = all_states + 16 * i
                text = self.texts.data + item.bytes
                for k in range(16):
                    # prefix, the round's number, and the half in `width` bytes, zeros first
                    place = 16 * step + k - (15 - width % 16)
                    if place < 0:
                        byte = item.prefix[16 * step + k]
                    elif place == 0:
                        byte = <unsigned char>number
                    else:
                        place -= 1
                        if number & 1:
                            shorter = width - item.length // 2
                            byte = 0 if place < shorter else text[place - shorter]
                        else:
                            byte = text[item.length // 2 + place]
                    self._blocks.data[16 * waiting + k] = state[k] ^ byte
                waiting += 1
            self._call(waiting)
            waiting = 0
            for i in range(count):
                item = self.at(i)
                width = item.length - item.length // 2
                if step < (width + 16) // 16:
                    memcpy(all_states + 16 * i, self._sealed.data + 16 * waiting, 16)
                    waiting += 1
        for step in range(5):
            waiting = 0
            for i in range(count):
                item = self.at(i)
                width = item.length - item.length // 2
                d = 4 * ((width + 3) // 4) + 4
                if 16 * step >= d:
                    continue
                state = all_states + 16 * i
                if step == 0:
                    memcpy(stream + 80 * i, state, 16)
                    continue
                memcpy(self._blocks.data + 16 * waiting, state, 16)
                self._blocks.data[16 * waiting + 15] ^= <unsigned char>step
                waiting += 1
            if not waiting:
                continue
            self._call(waiting)
            waiting = 0
            for i in range(count):
                item = self.at(i)
                width = item.length - item.length // 2
                d = 4 * ((width + 3) // 4) + 4
                if 16 * step < d:
                    memcpy(stream + 80 * i + 16 * step, self._sealed.data + 16 * waiting, 16)
                    waiting += 1
        for i in range(count):
            item = self.at(i)
            width = item.length - item.length // 2
            d = 4 * ((width + 3) // 4) + 4
            text = self.texts.data + item.bytes
            size = width
            if number & 1:
                text += item.length // 2
            else:
                size = item.length // 2
            carry = 0
            for k in range(size):
                total = text[size - 1 - k] + stream[80 * i + d - 1 - k] + carry
                text[size - 1 - k] = total & 0xFF
                carry = total >> 8
        return 0


cdef struct Prepared:
    # What is prepared for one tweak: the domain, how it is shown, and of each padded length whose halves are numbers its shape and block.
    const unsigned char *name
    Py_ssize_t size
    const unsigned char *shown
    Py_ssize_t shown_size
    int[5] shape
    uint64_t[5] high
    uint64_t[5] low


cdef class Domain:
    """What keeps the bytes of a prepared tweak, and (chain, prefix) of each longer padded length."""

    cdef bytes name
    cdef bytes shown
    cdef dict lengths

    def __cinit__(self, bytes name not None, bytes shown not None):
        self.name, self.shown, self.lengths = name, shown, {}


cdef class TokenColumn(Column):
    """Names and e-mail addresses.

    Args:
        mail: the values are addresses, else names.
        rounds: the narrow rounds of the tokens, in radix 256.
        wide: the same for longer texts.
        prepare: (length, tweak) to (shape, high, low) of `rounds`.
        prepare_wide: (length, tweak) to (chain, prefix).
        show_domain: a domain to the bytes that are shown for it.
        limit: longest value of the column.
    """

    cdef bint _mail
    cdef Py_ssize_t _limit
    cdef Rounds _rounds
    cdef WideRounds _wide
    cdef object _prepare
    cdef object _prepare_wide
    cdef object _show_domain
    cdef list _domains
    cdef Room _prepared
    cdef int[DOMAIN_SLOTS] _slots

    def __cinit__(self, many, dict kept, Py_ssize_t kept_max, bint mail, Rounds rounds, WideRounds wide, prepare, prepare_wide, show_domain,
                  Py_ssize_t limit):
        self._mail, self._rounds, self._wide, self._limit = mail, rounds, wide, limit
        self._prepare, self._prepare_wide, self._show_domain = prepare, prepare_wide, show_domain
        self._prepared = Room()
        self._forget()

    cdef void _forget(self) except *:
        self._domains = []
        self._prepared.size = 0
        memset(self._slots, 0, sizeof(self._slots))

    cdef int show(self) except -1:
        cdef Py_ssize_t i
        cdef Item *item
        cdef Wide *wide
        cdef unsigned char[NARROW_MAX] sealed
        cdef int length
        self._rounds.count = 0
        self._wide.clear()
        if len(self._domains) > DOMAINS_KEPT:
            self._forget()
        for i in range(self.count):
            if not self._add(i):
                self._others.append(i)
        self._rounds.run()
        self._wide.run()
        for i in range(self._rounds.count):
            item = &self._rounds.items[i]
            length = item.kind & 0xFF
            _store(sealed, item.a_high, item.a, length // 2)
            _store(sealed + length // 2, item.b_high, item.b, length - length // 2)
            self._write(item.cell, item.kind >> 8, sealed, length)
        for i in range(self._wide.count()):
            wide = self._wide.at(i)
            self._write(wide.cell & 0xFFFFFFFF, wide.cell >> 32, self._wide.texts.data + wide.bytes, wide.length)
        self._rounds.count = 0
        self._wide.clear()
        self.rest()
        return 0

    cdef bint _add(self, Py_ssize_t number) except -1:
        cdef Cell *cell = &self.cells[number]
        cdef Py_ssize_t size = cell.size
        cdef unsigned char[TEXT_MAX + 1] padded
        cdef unsigned char *text
        cdef int length, which, found
        cdef Prepared *domain
        cdef Item *item
        if self._mail:
            if size > 512 or not _is_ascii(cell.at, size):
                return False
            size -= 1
            while size >= 0 and cell.at[size] != 64:
                size -= 1
            if size < 1 or size == cell.size - 1:
                return False
        if size > TEXT_MAX or size < 0:
            return False
        if not self._mail and not _is_utf8(cell.at, size):
            return False
        length = 10 if size < 10 else <int>((size + 5) // 5 * 5)
        found = self._find(cell.at + size + 1, cell.size - size - 1) if self._mail else self._find(cell.at, 0)
        domain = self._at(found)
        if length // 5 * 8 + (domain.shown_size + 3 if self._mail else WORDS_MAX) > self._limit:
            return False
        if length > NARROW_MAX:
            lengths = (<Domain>self._domains[found]).lengths
            known = lengths.get(length)
            if known is None:
                known = lengths[length] = self._prepare_wide(length, self._tweak(cell, size))
            text = self._wide.add(number | (<Py_ssize_t>found << 32), length, known[0], known[1])
        else:
            which = length // 5
            if domain.shape[which] < 0:
                domain.shape[which], domain.high[which], domain.low[which] = self._prepare(length, self._tweak(cell, size))
            item = self._rounds.add(domain.shape[which], domain.high[which], domain.low[which])
            item.cell, item.kind = number, length | (found << 8)
            text = padded
        memcpy(text, cell.at, size)
        text[size] = 0x80
        memset(text + size + 1, 0, length - size - 1)
        if length <= NARROW_MAX:
            _load(text, length // 2, &item.a_high, &item.a)
            _load(text + length // 2, length - length // 2, &item.b_high, &item.b)
        return True

    cdef object _tweak(self, Cell *cell, Py_ssize_t size):
        return PyBytes_FromStringAndSize(<const char *>cell.at + size + 1, cell.size - size - 1) if self._mail else b""

    cdef int _find(self, const unsigned char *name, Py_ssize_t size) except -1:
        """Number of a domain, which holds until the next chunk; names have the empty one."""
        cdef uint64_t hash = _hash(name, size)
        cdef int *slot = &self._slots[hash & (DOMAIN_SLOTS - 1)]
        cdef Prepared *known
        cdef Domain domain
        cdef int i
        while slot[0]:
            known = self._at(slot[0] - 1)
            if known.size == size and memcmp(known.name, name, size) == 0:
                return slot[0] - 1
            hash += 1
            slot = &self._slots[hash & (DOMAIN_SLOTS - 1)]
        text = PyBytes_FromStringAndSize(<const char *>name, size)
        domain = Domain(text, self._show_domain(text) if self._mail else b"")
        self._domains.append(domain)
        known = <Prepared *>self._prepared.take(sizeof(Prepared))
        known.name, known.size = <const unsigned char *>PyBytes_AS_STRING(domain.name), len(domain.name)
        known.shown, known.shown_size = <const unsigned char *>PyBytes_AS_STRING(domain.shown), len(domain.shown)
        for i in range(5):
            known.shape[i] = -1
        if len(self._domains) <= DOMAINS_KEPT:  # so many leave slots free, at which a search ends; the rest of this chunk is not found again
            slot[0] = <int>len(self._domains)
        return <int>len(self._domains) - 1

    cdef inline Prepared *_at(self, Py_ssize_t number) noexcept:
        """A prepared domain; valid until another one is found."""
        return (<Prepared *>self._prepared.data) + number

    cdef int _write(self, Py_ssize_t number, Py_ssize_t which, const unsigned char *sealed, int length) except -1:
        cdef Cell *cell = &self.cells[number]
        cdef int letters = length // 5 * 8
        cdef unsigned char *to
        cdef Prepared *domain
        cdef bytes words
        cdef Py_ssize_t shown
        if self._mail:
            domain = self._at(which)
            shown = letters + 3 + domain.shown_size
            to = self.room.take(shown)
            to[0], to[1] = 117, 95
            _base32(to + 2, sealed, length)
            to[2 + letters] = 64
            memcpy(to + 3 + letters, domain.shown, domain.shown_size)
        else:
            words = WORDS[(sealed[0] >> 3) * 32 + (((sealed[0] & 7) << 2) | (sealed[1] >> 6))]
            shown = letters + len(words)
            to = self.room.take(shown)
            memcpy(to, PyBytes_AS_STRING(words), len(words))
            _base32(to + len(words), sealed, length)
        cell.shown, cell.shown_size = self.room.size - shown, shown
        return 0


cdef inline uint64_t _hash(const unsigned char *at, Py_ssize_t size) noexcept nogil:
    """A hash of some bytes."""
    cdef uint64_t hash = 14695981039346656037ULL ^ <uint64_t>size, word = 0
    cdef Py_ssize_t i = 0
    while i + 8 <= size:
        memcpy(&word, at + i, 8)
        hash = (hash ^ word) * 0x9E3779B97F4A7C15ULL
        hash ^= hash >> 32
        i += 8
    word = 0
    memcpy(&word, at + i, size - i)
    hash = (hash ^ word) * 0x9E3779B97F4A7C15ULL
    return hash ^ (hash >> 32)


cdef inline bint _is_ascii(const unsigned char *at, Py_ssize_t size) noexcept nogil:
    cdef uint64_t word, all = 0
    cdef Py_ssize_t i = 0
    while i + 8 <= size:
        memcpy(&word, at + i, 8)
        all |= word
        i += 8
    while i < size:
        all |= at[i]
        i += 1
    return not all & 0x8080808080808080ULL


cdef inline void _load(const unsigned char *at, int count, uint64_t *high, uint64_t *low) noexcept nogil:
    cdef int i
    high[0] = low[0] = 0
    for i in range(count):
        high[0] = (high[0] << 8) | (low[0] >> 56)
        low[0] = (low[0] << 8) | at[i]


cdef inline void _store(unsigned char *at, uint64_t high, uint64_t low, int count) noexcept nogil:
    while count:
        count -= 1
        at[count] = <unsigned char>(low & 0xFF)
        low = (low >> 8) | (high << 56)
        high >>= 8


cdef inline void _base32(unsigned char *to, const unsigned char *data, int count) noexcept nogil:
    """Base 32 of a multiple of five bytes, in small letters."""
    cdef uint64_t five
    cdef int i, k
    for i in range(count // 5):
        five = 0
        for k in range(5):
            five = (five << 8) | data[5 * i + k]
        for k in range(8):
            to[8 * i + 7 - k] = <unsigned char>BASE32[five & 31]
            five >>= 5


cdef bint _is_utf8(const unsigned char *at, Py_ssize_t size) noexcept nogil:
    """Whether these bytes are UTF-8 as Python reads it: no overlong forms, no surrogates, nothing above 10FFFF."""
    cdef Py_ssize_t i = 0
    cdef unsigned char byte, second
    while i < size:
        byte = at[i]
        if byte < 0x80:
            i += 1
            continue
        if byte < 0xC2 or byte > 0xF4 or i + 1 >= size:
            return False
        second = at[i + 1]
        if second & 0xC0 != 0x80:
            return False
        if byte < 0xE0:
            i += 2
            continue
        if i + 2 >= size or at[i + 2] & 0xC0 != 0x80:
            return False
        if byte < 0xF0:
            if (byte == 0xE0 and second < 0xA0) or (byte == 0xED and second >= 0xA0):
                return False
            i += 3
            continue
        if i + 3 >= size or at[i + 3] & 0xC0 != 0x80 or (byte == 0xF0 and second < 0x90) or (byte == 0xF4 and second >= 0x90):
            return False
        i += 4
    return True
