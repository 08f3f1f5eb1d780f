/* The arithmetic of FF1's ten rounds, for `_speed_ff1.pxi`: on any processor one step at a time around a cipher that somebody else calls,
 * and on one with instructions for AES eight values at a time through all rounds, without leaving its registers for the cipher.
 *
 * For: values whose halves are numbers of at most 96 bits, under an AES key of 32 bytes.
 * Not for: what the numbers mean, nor keys: they are given.
 * Source: NIST SP 800-38G, algorithm 7; FIPS 197 (key expansion).
 */
#ifndef LOCKGATE_ROUNDS_H
#define LOCKGATE_ROUNDS_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define LG_HAS_INSTRUCTIONS 1
#include <immintrin.h>
#else
#define LG_HAS_INSTRUCTIONS 0
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define lg_swap(v) (v)
#else
#define lg_swap(v) __builtin_bswap64(v)
#endif

/* One half's modulus: a power of two as a mask of 128 bits, anything else with its reciprocal. */
typedef struct {
    int binary;
    uint64_t high, low, reciprocal;
} lg_half;

/* What is the same for all numeral strings of one length: eight times the bytes of a half, before which the round's number stands,
 * and the bytes of the pseudo-random number, 8, 12 or 16. */
typedef struct {
    int bits;
    int d;
    lg_half a, b;
} lg_shape;

/* One value on its way: its halves, and the block's constant part. The rest belongs to whoever added it. */
typedef struct {
    uint64_t a_high, a, b_high, b, base_high, base;
    int shape;
    int kind;
    int64_t cell;
} lg_item;

static inline uint64_t lg_load(const unsigned char *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return lg_swap(v);
}

static inline void lg_store(unsigned char *p, uint64_t v) {
    v = lg_swap(v);
    memcpy(p, &v, 8);
}

/* Add a number to a half, modulo the half's. */
static inline void lg_add(const lg_half *half, uint64_t *high, uint64_t *low, uint64_t y_high, uint64_t y) {
    uint64_t rest;
    if (half->binary) {
        uint64_t total = *low + y;
        *high = (*high + y_high + (total < y)) & half->high;
        *low = total & half->low;
        return;
    }
    if (y_high) {
        rest = (uint64_t)((((unsigned __int128)y_high << 64) | y) % half->low);
    } else {
        /* The quotient by the reciprocal is at most one too small. */
        rest = y - (uint64_t)(((unsigned __int128)y * half->reciprocal) >> 64) * half->low;
        rest -= rest >= half->low ? half->low : 0;
    }
    rest += *low; /* both are below the modulus, which is below 2 ** 63 */
    *low = rest - (rest >= half->low ? half->low : 0);
}

/* The two words of a round's block, before they are brought into the order of bytes. */
static inline void lg_block(const lg_item *item, const lg_shape *shape, int number, uint64_t *high, uint64_t *low) {
    *high = (number & 1 ? item->a_high : item->b_high) ^ item->base_high;
    *low = (number & 1 ? item->a : item->b) ^ item->base;
    if (shape->bits < 64)
        *low ^= (uint64_t)number << shape->bits;
    else
        *high ^= (uint64_t)number << (shape->bits - 64);
}

/* Take a round's sealed block, as two words, into a value. */
static inline void lg_take(lg_item *item, const lg_shape *shape, int number, uint64_t high, uint64_t low) {
    if (shape->d == 8) {
        low = high;
        high = 0;
    } else if (shape->d == 12) {
        low = (high << 32) | (low >> 32);
        high >>= 32;
    }
    if (number & 1)
        lg_add(&shape->b, &item->b_high, &item->b, high, low);
    else
        lg_add(&shape->a, &item->a_high, &item->a, high, low);
}

#if LG_HAS_INSTRUCTIONS

#define LG_AES __attribute__((target("aes,sse4.1")))

LG_AES static inline __m128i lg_spread(__m128i key, __m128i part) {
    key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
    key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
    return _mm_xor_si128(key, part);
}

#define LG_STEP(n, constant)                                                                                                       \
    even = lg_spread(even, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(odd, constant), 0xFF));                                     \
    _mm_storeu_si128((__m128i *)(keys + 32 * (n)), even);                                                                          \
    if ((n) < 7) {                                                                                                                 \
        odd = lg_spread(odd, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(even, 0), 0xAA));                                         \
        _mm_storeu_si128((__m128i *)(keys + 32 * (n) + 16), odd);                                                                  \
    }

LG_AES static void lg_expand(const unsigned char *key, unsigned char *keys) {
    __m128i even = _mm_loadu_si128((const __m128i *)key), odd = _mm_loadu_si128((const __m128i *)(key + 16));
    _mm_storeu_si128((__m128i *)keys, even);
    _mm_storeu_si128((__m128i *)(keys + 16), odd);
    LG_STEP(1, 0x01) LG_STEP(2, 0x02) LG_STEP(3, 0x04) LG_STEP(4, 0x08) LG_STEP(5, 0x10) LG_STEP(6, 0x20) LG_STEP(7, 0x40)
}

/* Eight blocks, whose bytes stand in the order of numbers before and after. */
LG_AES static inline __attribute__((always_inline)) void lg_cipher(const unsigned char *keys, __m128i *blocks) {
    const __m128i turn = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m128i key = _mm_loadu_si128((const __m128i *)keys);
    int i, step;
    for (i = 0; i < 8; i++) blocks[i] = _mm_xor_si128(_mm_shuffle_epi8(blocks[i], turn), key);
    for (step = 1; step < 14; step++) {
        key = _mm_loadu_si128((const __m128i *)(keys + 16 * step));
        for (i = 0; i < 8; i++) blocks[i] = _mm_aesenc_si128(blocks[i], key);
    }
    key = _mm_loadu_si128((const __m128i *)(keys + 16 * 14));
    for (i = 0; i < 8; i++) blocks[i] = _mm_shuffle_epi8(_mm_aesenclast_si128(blocks[i], key), turn);
}

/* The ten rounds of eight values of any shapes. */
LG_AES static void lg_eight(const unsigned char *keys, lg_item **items, const lg_shape *shapes) {
    __m128i blocks[8];
    int number, i;
    for (number = 0; number < 10; number++) {
        for (i = 0; i < 8; i++) {
            uint64_t high, low;
            lg_block(items[i], &shapes[items[i]->shape], number, &high, &low);
            blocks[i] = _mm_set_epi64x((long long)high, (long long)low);
        }
        lg_cipher(keys, blocks);
        for (i = 0; i < 8; i++)
            lg_take(items[i], &shapes[items[i]->shape], number, (uint64_t)_mm_extract_epi64(blocks[i], 1), (uint64_t)_mm_extract_epi64(blocks[i], 0));
    }
}

/* The ten rounds of eight values of one narrow shape: of its pseudo-random numbers only 64 bits count. `binary` and `d` are its own. */
LG_AES static inline __attribute__((always_inline)) void lg_alike(const unsigned char *keys, lg_item **items, const lg_shape *shape, const int binary, const int d) {
    __m128i blocks[8];
    uint64_t halves[2][8];
    int number, i;
    for (i = 0; i < 8; i++) {
        halves[0][i] = items[i]->a;
        halves[1][i] = items[i]->b;
    }
    for (number = 0; number < 10; number++) {
        const uint64_t counted = (uint64_t)number << shape->bits;
        const lg_half *half = number & 1 ? &shape->b : &shape->a;
        const uint64_t modulus = half->low, reciprocal = half->reciprocal;
        const uint64_t *given = halves[1 - (number & 1)];
        uint64_t *changed = halves[number & 1];
        for (i = 0; i < 8; i++) blocks[i] = _mm_set_epi64x((long long)items[i]->base_high, (long long)(items[i]->base ^ counted ^ given[i]));
        lg_cipher(keys, blocks);
        for (i = 0; i < 8; i++) {
            uint64_t y = (uint64_t)_mm_extract_epi64(blocks[i], d == 16 ? 0 : 1);
            if (d == 12) y = (y << 32) | ((uint64_t)_mm_extract_epi64(blocks[i], 0) >> 32);
            if (binary) {
                changed[i] = (changed[i] + y) & modulus;
            } else {
                y -= (uint64_t)(((unsigned __int128)y * reciprocal) >> 64) * modulus;
                y -= y >= modulus ? modulus : 0;
                y += changed[i];
                changed[i] = y - (y >= modulus ? modulus : 0);
            }
        }
    }
    for (i = 0; i < 8; i++) {
        items[i]->a = halves[0][i];
        items[i]->b = halves[1][i];
    }
}

LG_AES static void lg_alike_decimal(const unsigned char *keys, lg_item **items, const lg_shape *shape) { lg_alike(keys, items, shape, 0, 8); }
LG_AES static void lg_alike_binary_8(const unsigned char *keys, lg_item **items, const lg_shape *shape) { lg_alike(keys, items, shape, 1, 8); }
LG_AES static void lg_alike_binary_12(const unsigned char *keys, lg_item **items, const lg_shape *shape) { lg_alike(keys, items, shape, 1, 12); }

/* Eight values of one shape. */
static void lg_same(const unsigned char *keys, lg_item **items, const lg_shape *shapes) {
    const lg_shape *shape = &shapes[items[0]->shape];
    if (shape->bits < 64 && shape->a.binary && shape->b.binary && shape->d == 8)
        lg_alike_binary_8(keys, items, shape);
    else if (shape->bits < 64 && shape->a.binary && shape->b.binary && shape->d == 12)
        lg_alike_binary_12(keys, items, shape);
    else if (!shape->a.binary && !shape->b.binary && shape->d == 8)
        lg_alike_decimal(keys, items, shape);
    else
        lg_eight(keys, items, shapes);
}

static int lg_has_instructions(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("sse4.1");
}

#else

static int lg_has_instructions(void) { return 0; }
static void lg_expand(const unsigned char *key, unsigned char *keys) { (void)key, (void)keys; }
static void lg_eight(const unsigned char *keys, lg_item **items, const lg_shape *shapes) { (void)keys, (void)items, (void)shapes; }
static void lg_same(const unsigned char *keys, lg_item **items, const lg_shape *shapes) { (void)keys, (void)items, (void)shapes; }

#endif

#define LG_SHAPES 32

/* The ten rounds of all these values, on a processor with the instructions: values of one shape together, what is left of each with others. */
static void lg_rounds(const unsigned char *keys, lg_item *items, int64_t count, const lg_shape *shapes) {
    lg_item *waiting[LG_SHAPES][8], *mixed[8], spare[8];
    int filled[LG_SHAPES] = {0}, left = 0, shape, k;
    int64_t i;
    for (i = 0; i < count; i++) {
        shape = items[i].shape % LG_SHAPES;
        if (filled[shape] && waiting[shape][0]->shape != items[i].shape) {
            mixed[left++] = &items[i];
        } else {
            waiting[shape][filled[shape]++] = &items[i];
            if (filled[shape] == 8) {
                lg_same(keys, waiting[shape], shapes);
                filled[shape] = 0;
            }
        }
        if (left == 8) {
            lg_eight(keys, mixed, shapes);
            left = 0;
        }
    }
    for (shape = 0; shape < LG_SHAPES; shape++) {
        for (k = 0; k < filled[shape]; k++) {
            mixed[left++] = waiting[shape][k];
            if (left == 8) {
                lg_eight(keys, mixed, shapes);
                left = 0;
            }
        }
    }
    if (!left) return;
    for (k = left; k < 8; k++) {
        spare[k] = *mixed[0];
        mixed[k] = &spare[k];
    }
    lg_eight(keys, mixed, shapes);
}

/* A step of all of them: their blocks, and what is made of the sealed ones. */
static void lg_fill(unsigned char *to, const lg_item *items, int64_t count, const lg_shape *shapes, int number) {
    int64_t i;
    for (i = 0; i < count; i++, to += 16) {
        uint64_t high, low;
        lg_block(&items[i], &shapes[items[i].shape], number, &high, &low);
        lg_store(to, high);
        lg_store(to + 8, low);
    }
}

static void lg_fold(const unsigned char *at, lg_item *items, int64_t count, const lg_shape *shapes, int number) {
    int64_t i;
    for (i = 0; i < count; i++, at += 16) lg_take(&items[i], &shapes[items[i].shape], number, lg_load(at), lg_load(at + 8));
}

#endif
