// What amx_f16.cpp and amx_attention.cpp have in common: tiles of AMX, and numbers split in two.
//
// The tiles multiply bfloat16, whose 8 bits are too few for a float16; but two of them hold one
// exactly, as a sum, and a float to 16 bits. So both sides of a product are split into a large and
// a small part, and three of the four products are added up: what is left out is a 250,000th.
#ifndef MULLAMA_AMX_TILES_H
#define MULLAMA_AMX_TILES_H
#if defined(__AMX_INT8__) && defined(__AVX512VNNI__)

#include "ggml.h"

#include <cpuid.h>
#include <cstdint>
#include <immintrin.h>
#include <vector>

// All 8 registers hold a tile of 16 rows with 16 floats, or 16 pairs of bfloat16.
#define MULLAMA_TILES __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512bf16,f16c")))

namespace mullama_tiles {

constexpr int64_t side = 16;                   // rows of a tile, and numbers of 32 bits in a row
constexpr int64_t depth = 32;                  // bfloat16 in a row
constexpr int64_t tile_bytes = 1024;           // of a tile
constexpr int64_t pair_bytes = 2 * tile_bytes; // a tile of large parts, and one of small parts

inline bool has_tiles() {
    static const bool has = [] {
        unsigned a = 0, b = 0, c = 0, d = 0;
        return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1);
    }();
    return has;
}

inline int64_t tiles_of(int64_t rows) { return (rows + side - 1) / side; }

// Returns memory for so many bytes at an address that a row of a tile may have. It is used again.
inline char *aligned_storage(std::vector<char> &storage, size_t bytes) {
    if (storage.size() < bytes + 64) {
        storage.resize(bytes + 64);
    }
    return (char *)(((uintptr_t)storage.data() + 63) & ~(uintptr_t)63);
}

// A configuration of the tile registers. mmq.cpp sets its own once in each thread and expects it to
// stay, so this one is taken back.
class tile_setup {
  public:
    MULLAMA_TILES tile_setup() {
        alignas(64) unsigned char ours[64] = {1};
        for (int i = 0; i < 8; i++) {
            ours[16 + 2 * i] = 64;
            ours[48 + i] = side;
        }
        __asm__ volatile("sttilecfg %0" : "=m"(before));
        __asm__ volatile("ldtilecfg %0" ::"m"(ours));
    }
    MULLAMA_TILES ~tile_setup() { __asm__ volatile("ldtilecfg %0" ::"m"(before)); }

  private:
    alignas(64) unsigned char before[64];
};

// Rounds to the bfloat16 that are large parts, which are in the upper halves.
MULLAMA_TILES inline __m512i round_large(__m512 x) {
    return _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
}

// What the large parts leave over.
MULLAMA_TILES inline __m512 rest_of(__m512 x, __m512i large) {
    __m512i upper = _mm512_and_si512(large, _mm512_set1_epi32((int)0xffff0000));
    return _mm512_sub_ps(x, _mm512_castsi512_ps(upper));
}

// Writes the large parts of 32 numbers and their small parts.
MULLAMA_TILES inline void split(__m512 first, __m512 second, __m512i *large, __m512i *small) {
    alignas(64) static const uint16_t odd[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21,
                                                 23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43,
                                                 45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
    __m512i a = round_large(first), b = round_large(second);
    *large = _mm512_permutex2var_epi16(a, _mm512_load_si512(odd), b);
    *small = (__m512i)_mm512_cvtne2ps_pbh(rest_of(second, b), rest_of(first, a));
}

// Splits 16 pairs of numbers, of which two vectors hold the first and the second ones.
MULLAMA_TILES inline void split_pairs(__m512 first, __m512 second, __m512i *large, __m512i *small) {
    __m512i a = round_large(first), b = round_large(second);
    __m512i c = round_large(rest_of(first, a)), d = round_large(rest_of(second, b));
    *large = _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(a, 16), b);
    *small = _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(c, 16), d);
}

// Splits 32 float16.
MULLAMA_TILES inline void split_halves(const ggml_fp16_t *in, char *large, char *small) {
    const __m256i *from = (const __m256i *)in;
    __m512i l, s;
    split(_mm512_cvtph_ps(_mm256_loadu_si256(from)), _mm512_cvtph_ps(_mm256_loadu_si256(from + 1)),
          &l, &s);
    _mm512_store_si512(large, l);
    _mm512_store_si512(small, s);
}

// Swaps rows and columns of 16 times 16 numbers of 32 bits.
MULLAMA_TILES inline void transpose(__m512i r[16]) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 4) { // in blocks of 4 times 4
        __m512i a = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        __m512i b = _mm512_unpackhi_epi32(r[i], r[i + 1]);
        __m512i c = _mm512_unpacklo_epi32(r[i + 2], r[i + 3]);
        __m512i d = _mm512_unpackhi_epi32(r[i + 2], r[i + 3]);
        t[i] = _mm512_unpacklo_epi64(a, c);
        t[i + 1] = _mm512_unpackhi_epi64(a, c);
        t[i + 2] = _mm512_unpacklo_epi64(b, d);
        t[i + 3] = _mm512_unpackhi_epi64(b, d);
    }
    for (int i = 0; i < 4; i++) { // and the blocks
        __m512i a = _mm512_shuffle_i32x4(t[i], t[i + 4], 0x88);
        __m512i b = _mm512_shuffle_i32x4(t[i], t[i + 4], 0xdd);
        __m512i c = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0x88);
        __m512i d = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0xdd);
        r[i] = _mm512_shuffle_i32x4(a, c, 0x88);
        r[i + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(a, c, 0xdd);
        r[i + 12] = _mm512_shuffle_i32x4(b, d, 0xdd);
    }
}

// Writes 16 vectors as a tile.
MULLAMA_TILES inline void store_tile(const __m512i r[16], char *tile) {
    for (int64_t i = 0; i < side; i++) {
        _mm512_store_si512(tile + 64 * i, r[i]);
    }
}

// Packs 16 rows of k floats, of which the last may be missing, times a factor, so that a row of a
// tile has two numbers of each. A pair of tiles has 32 columns. Rows are stride bytes apart.
MULLAMA_TILES inline void pack(const char *in, size_t stride, int64_t rows, int64_t k, float factor,
                               char *out) {
    __m512 times = _mm512_set1_ps(factor);
    for (int64_t at = 0; at < k; at += depth, out += pair_bytes) {
        __m512i large[16], small[16];
        for (int64_t i = 0; i < side; i++) {
            if (i < rows) {
                const float *row = (const float *)(in + i * stride) + at;
                split(_mm512_mul_ps(_mm512_loadu_ps(row), times),
                      _mm512_mul_ps(_mm512_loadu_ps(row + 16), times), &large[i], &small[i]);
            } else {
                large[i] = small[i] = _mm512_setzero_si512();
            }
        }
        transpose(large);
        transpose(small);
        store_tile(large, out);
        store_tile(small, out + tile_bytes);
    }
}

} // namespace mullama_tiles

#endif
#endif
