/* Where one of two bytes stands among at most 64, as bits: for `_speed_rows.pxi`, which cuts rows of COPY data into values.
 * Not for: what the bytes mean. */
#ifndef LOCKGATE_MARKS_H
#define LOCKGATE_MARKS_H

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>

static inline uint64_t lg_sixteen(const unsigned char *at, __m128i one, __m128i other) {
    __m128i data = _mm_loadu_si128((const __m128i *)at);
    return (uint64_t)(unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(data, one), _mm_cmpeq_epi8(data, other)));
}

static inline uint64_t lg_marks(const unsigned char *at, int count, unsigned char one, unsigned char other) {
    const __m128i first = _mm_set1_epi8((char)one), second = _mm_set1_epi8((char)other);
    unsigned char rest[16];
    uint64_t found = 0;
    int i;
    for (i = 0; i + 16 <= count; i += 16) found |= lg_sixteen(at + i, first, second) << i;
    if (i < count) {
        memset(rest, 0, 16);
        memcpy(rest, at + i, (size_t)(count - i));
        found |= (lg_sixteen(rest, first, second) & ((1u << (count - i)) - 1)) << i;
    }
    return found;
}

#else

static inline uint64_t lg_marks(const unsigned char *at, int count, unsigned char one, unsigned char other) {
    uint64_t found = 0;
    int i;
    for (i = 0; i < count; i++) found |= (uint64_t)(at[i] == one || at[i] == other) << i;
    return found;
}

#endif

/* Whether no byte is a control character or one of two; in words of eight that compilers put together. */
static inline int lg_plain(const unsigned char *at, long count, unsigned char one, unsigned char other) {
    unsigned char odd = 0;
    long i;
    for (i = 0; i < count; i++) odd |= (unsigned char)((at[i] < 32) | (at[i] == one) | (at[i] == other));
    return !odd;
}

/* The first of them. */
static inline int lg_first(uint64_t marks) { return __builtin_ctzll(marks); }

#endif
