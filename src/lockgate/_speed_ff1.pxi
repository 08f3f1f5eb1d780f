# Part of `_speed.pyx`: FF1 over many values at once.
#
# For: the ten rounds of SP 800-38G on everything that waits under one key, with one AES call per round; the arithmetic of `masking.ff1.Ff1`, in `_rounds.h`.
# Not for: keys, tweaks and domains, which `masking.ff1` prepares; what the numbers mean (`_speed_masks.pxi`).
# Source: NIST SP 800-38G, algorithm 7.

from cpython.bytes cimport PyBytes_AsString
from libc.stdint cimport int64_t
from libc.stdlib cimport free, realloc

cdef extern from "_rounds.h" nogil:
    ctypedef struct Half "lg_half":
        bint binary
        uint64_t high
        uint64_t low
        uint64_t reciprocal
    ctypedef struct Shape "lg_shape":
        int bits
        int d
        Half a
        Half b
    ctypedef struct Item "lg_item":
        uint64_t a_high
        uint64_t a
        uint64_t b_high
        uint64_t b
        uint64_t base_high
        uint64_t base
        int shape
        int kind
        int64_t cell
    uint64_t lg_load(const unsigned char *)
    void lg_store(unsigned char *, uint64_t)
    bint lg_has_instructions()
    void lg_expand(const unsigned char *, unsigned char *)
    void lg_rounds(const unsigned char *, Item *, int64_t, const Shape *)
    void lg_fill(unsigned char *, const Item *, int64_t, const Shape *, int)
    void lg_fold(const unsigned char *, Item *, int64_t, const Shape *, int)

cdef enum:
    KEY_BYTES = 32
    EXPANDED_BYTES = 240


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


cdef class Rounds:
    """The values that go through the rounds of one key together. Both halves have at most 12 bytes, of a radix that is no power of two 8.

    Args:
        aes: the block cipher, from a buffer into another.
        key: its key; one of 32 bytes is used with the processor's own instructions where it has them, and `aes` is not called then.
    """

    cdef object _aes
    cdef object _in
    cdef object _out
    cdef unsigned char[::1] _blocks
    cdef unsigned char[::1] _sealed
    cdef bint _direct
    cdef unsigned char[EXPANDED_BYTES] _keys
    cdef Item *items
    cdef Py_ssize_t count
    cdef Py_ssize_t _room
    cdef Shape *_shapes
    cdef int _shape_count

    def __cinit__(self, aes, bytes key not None):
        self._aes = aes
        self._direct = len(key) == KEY_BYTES and lg_has_instructions()
        if self._direct:
            lg_expand(<const unsigned char *>PyBytes_AS_STRING(key), self._keys)
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
        if not self._direct:
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
        cdef int number
        if not self.count:
            return 0
        if self._direct:
            lg_rounds(self._keys, self.items, self.count, self._shapes)
            return 0
        source = memoryview(self._in)[: 16 * self.count]
        target = memoryview(self._out)[: 16 * self.count + 15]
        for number in range(10):
            lg_fill(&self._blocks[0], self.items, self.count, self._shapes, number)
            if self._aes(source, target) != 16 * self.count:
                raise InvariantError("the cipher gave another number of bytes")
            lg_fold(&self._sealed[0], self.items, self.count, self._shapes, number)
        return 0

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
