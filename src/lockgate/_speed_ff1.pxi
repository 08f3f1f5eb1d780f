# Part of `_speed.pyx`: FF1 over many values at once.
#
# For: the ten rounds of SP 800-38G on everything that waits under one key, with one AES call per round; the arithmetic of `masking.ff1.Ff1`.
# Not for: keys, tweaks and domains, which `masking.ff1` prepares; what the numbers mean (`_speed_masks.pxi`).
# Source: NIST SP 800-38G, algorithm 7.

from cpython.bytes cimport PyBytes_AsString
from libc.stdlib cimport free, realloc

cdef extern from *:
    """
    #include <string.h>
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define lg_swap(v) (v)
    #else
    #define lg_swap(v) __builtin_bswap64(v)
    #endif
    static inline unsigned long long lg_load(const unsigned char *p) {
        unsigned long long v;
        memcpy(&v, p, 8);
        return lg_swap(v);
    }
    static inline void lg_store(unsigned char *p, unsigned long long v) {
        v = lg_swap(v);
        memcpy(p, &v, 8);
    }
    static inline unsigned long long lg_mod(unsigned long long hi, unsigned long long lo, unsigned long long m) {
        return hi ? (unsigned long long)((((unsigned __int128)hi << 64) | lo) % m) : lo % m;
    }
    static inline unsigned long long lg_high(unsigned long long a, unsigned long long b) {
        return (unsigned long long)(((unsigned __int128)a * b) >> 64);
    }
    """
    uint64_t lg_load(const unsigned char *p) nogil
    void lg_store(unsigned char *p, uint64_t v) nogil
    uint64_t lg_mod(uint64_t hi, uint64_t lo, uint64_t m) nogil
    uint64_t lg_high(uint64_t a, uint64_t b) nogil


cdef struct Half:
    # One half's modulus: a power of two as a mask of 128 bits, anything else with its reciprocal.
    bint binary
    uint64_t high
    uint64_t low
    uint64_t reciprocal


cdef struct Shape:
    # What is the same for all numeral strings of one length.
    int bits        # eight times b, the bytes of a half: the round's number stands before it
    int d           # bytes of the pseudo-random number: 8, 12 or 16
    Half a
    Half b


cdef struct Item:
    # One value on its way: its halves, and the block's constant part. `cell` and the rest belong to whoever added it.
    uint64_t a_high
    uint64_t a
    uint64_t b_high
    uint64_t b
    uint64_t base_high
    uint64_t base
    int shape
    int kind
    Py_ssize_t cell


cdef void _set_half(Half *half, object modulus) except *:
    half.binary = modulus & (modulus - 1) == 0
    if half.binary:
        half.high = (modulus - 1) >> 64
        half.low = (modulus - 1) & 0xFFFFFFFFFFFFFFFF
        half.reciprocal = 0
    else:
        half.high = 0
        half.low = modulus
        half.reciprocal = min(((1 << 64) // modulus), 0xFFFFFFFFFFFFFFFF)


cdef inline void _add(Half *half, uint64_t *high, uint64_t *low, uint64_t y_high, uint64_t y) noexcept nogil:
    """Add a number to a half, modulo the half's."""
    cdef uint64_t total, rest
    if half.binary:
        total = low[0] + y
        high[0] = (high[0] + y_high + (total < y)) & half.high
        low[0] = total & half.low
        return
    if y_high:
        rest = lg_mod(y_high, y, half.low)
    else:
        # The quotient by the reciprocal is at most one too small.
        rest = y - lg_high(y, half.reciprocal) * half.low
        if rest >= half.low:
            rest -= half.low
        if rest >= half.low:
            rest -= half.low
    low[0] = low[0] - (half.low - rest) if low[0] >= half.low - rest else low[0] + rest


cdef class Rounds:
    """The values that go through the rounds of one key together. Both halves have at most 12 bytes, of a radix that is no power of two 8."""

    cdef object _aes
    cdef object _in
    cdef object _out
    cdef unsigned char[::1] _blocks
    cdef unsigned char[::1] _sealed
    cdef Item *items
    cdef Py_ssize_t count
    cdef Py_ssize_t _room
    cdef Shape *_shapes
    cdef int _shape_count

    def __cinit__(self, aes):
        self._aes = aes
        self.items = NULL
        self._shapes = NULL
        self.count = self._room = 0
        self._shape_count = 0
        self._size(64)

    def __dealloc__(self):
        free(self.items)
        free(self._shapes)

    cdef int _size(self, Py_ssize_t room) except -1:
        cdef Item *grown = <Item *>realloc(self.items, room * sizeof(Item))
        if grown == NULL:
            raise MemoryError
        self.items = grown
        self._in, self._out = bytearray(16 * room), bytearray(16 * room + 15)
        self._blocks, self._sealed = self._in, self._out
        self._room = room
        return 0

    def shape(self, int width, object high, object low):
        """Know a shape: bytes of a half, and the two halves' moduli. Gives its number."""
        cdef Shape *grown
        if not 1 <= width <= 12 or not 1 < high <= 1 << 96 or not 1 < low <= 1 << 96:
            raise InvariantError("a shape is too large for the compiled rounds")
        for modulus in (high, low):
            if modulus & (modulus - 1) and (modulus >= 1 << 63 or width > 8):
                raise InvariantError("a shape is too large for the compiled rounds")
        grown = <Shape *>realloc(self._shapes, (self._shape_count + 1) * sizeof(Shape))
        if grown == NULL:
            raise MemoryError
        self._shapes = grown
        grown[self._shape_count].bits = 8 * width
        grown[self._shape_count].d = 4 * ((width + 3) // 4) + 4
        _set_half(&grown[self._shape_count].a, high)
        _set_half(&grown[self._shape_count].b, low)
        self._shape_count += 1
        return self._shape_count - 1

    cdef Item *add(self, int shape, uint64_t base_high, uint64_t base) except NULL:
        """Room for one value more; the caller sets its halves, which must be below the moduli."""
        cdef Item *item
        if not 0 <= shape < self._shape_count:
            raise InvariantError("a shape is not known")
        if self.count == self._room:
            self._size(2 * self._room)
        item = &self.items[self.count]
        item.shape = shape
        item.base_high = base_high
        item.base = base
        item.a_high = item.b_high = 0
        item.kind = 0
        self.count += 1
        return item

    cdef int run(self) except -1:
        """The ten rounds, over everything that was added."""
        cdef Py_ssize_t i
        cdef int number
        cdef unsigned char *blocks
        if not self.count:
            return 0
        source = memoryview(self._in)[: 16 * self.count]
        target = memoryview(self._out)[: 16 * self.count + 15]
        for number in range(10):
            self._fill(number)
            if self._aes(source, target) != 16 * self.count:
                raise InvariantError("the cipher gave another number of bytes")
            self._fold(number)
        return 0

    cdef void _fill(self, int number) noexcept:
        cdef Item *item
        cdef Shape *shape
        cdef Py_ssize_t i
        cdef uint64_t high, low
        cdef unsigned char *to = &self._blocks[0]
        for i in range(self.count):
            item = &self.items[i]
            shape = &self._shapes[item.shape]
            if number & 1:
                high, low = item.a_high, item.a
            else:
                high, low = item.b_high, item.b
            high ^= item.base_high
            low ^= item.base
            if shape.bits < 64:
                low ^= (<uint64_t>number) << shape.bits
            else:
                high ^= (<uint64_t>number) << (shape.bits - 64)
            lg_store(to, high)
            lg_store(to + 8, low)
            to += 16

    cdef void _fold(self, int number) noexcept:
        cdef Item *item
        cdef Shape *shape
        cdef Py_ssize_t i
        cdef uint64_t high, low
        cdef const unsigned char *at = &self._sealed[0]
        for i in range(self.count):
            item = &self.items[i]
            shape = &self._shapes[item.shape]
            high = lg_load(at)
            if shape.d == 8:
                low, high = high, 0
            else:
                low = lg_load(at + 8)
                if shape.d == 12:
                    low = (high << 32) | (low >> 32)
                    high >>= 32
            if number & 1:
                _add(&shape.b, &item.b_high, &item.b, high, low)
            else:
                _add(&shape.a, &item.a_high, &item.a, high, low)
            at += 16

    def encrypt(self, list values):
        """`Ff1.encrypt_many`: each value is (shape, constant block, high half, low half); gives (high half, low half) of each."""
        cdef Item *item
        cdef Shape *shape
        cdef Py_ssize_t i
        cdef bytes block
        self.count = 0
        for number, block, high, low in values:
            if len(block) != 16:
                raise InvariantError("a block has another length")
            item = self.add(number, lg_load(<const unsigned char *>PyBytes_AS_STRING(block)), lg_load(<const unsigned char *>PyBytes_AS_STRING(block) + 8))
            item.a_high, item.a = high >> 64, high & 0xFFFFFFFFFFFFFFFF
            item.b_high, item.b = low >> 64, low & 0xFFFFFFFFFFFFFFFF
        self.run()
        found = [
            ((<object>self.items[i].a_high << 64) | self.items[i].a, (<object>self.items[i].b_high << 64) | self.items[i].b)
            for i in range(self.count)
        ]
        self.count = 0
        return found
