// Products of float16 matrices on CPUs with AMX, for prompts and embeddings.
//
// ggml multiplies float16 weights there with AVX-512, a number in each lane. The tiles of AMX
// multiply bfloat16, whose 8 bits are too few for a weight; but two of them hold one exactly, as a
// sum. So weights and activations are both split into a large and a small part, and three of the
// four products are added up: what is left out is a 65,000th. Three products in tiles still take
// half of the time of one in lanes for 16 rows of activations, and a fifth for 256.
//
// CMakeLists.txt has ggml's mmq.cpp compiled with two functions renamed, as mullama_lanes_..., and
// those here take their places.
#include "amx/mmq.h"

#include "ggml-cpu-impl.h"
#include "ggml-impl.h"

#if defined(__AMX_INT8__) && defined(__AVX512VNNI__)

#include <algorithm>
#include <cpuid.h>
#include <immintrin.h>
#include <vector>

size_t mullama_lanes_desired_wsize(const struct ggml_tensor *dst);
void mullama_lanes_mul_mat(const struct ggml_compute_params *params, struct ggml_tensor *dst);

// All 8 registers hold a tile of 16 rows with 16 floats, or 16 pairs of bfloat16.
#define MULLAMA_TILES __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512bf16,f16c")))

namespace {

constexpr int64_t side = 16;                   // rows of a tile, and numbers of 32 bits in a row
constexpr int64_t depth = 32;                  // bfloat16 in a row
constexpr int64_t tile_bytes = 1024;           // of a tile
constexpr int64_t pair_bytes = 2 * tile_bytes; // a tile of large parts, and one of small parts
constexpr int64_t few_slots = 4;               // for weights that are used once
constexpr int64_t fewest_rows = 8;             // below which weights are read but a time or two

struct matrices {
    const ggml_fp16_t *weights; // n rows of k
    const char *packed;         // the activations: for 16 rows and 32 columns, a pair of tiles
    float *out;                 // m rows of n
    int64_t m, n, k, stride;    // stride: floats from one row of out to the next
};

bool has_tiles() {
    static const bool has = [] {
        unsigned a = 0, b = 0, c = 0, d = 0;
        return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1);
    }();
    return has;
}

bool fits_tiles(const ggml_tensor *dst) {
    const ggml_tensor *weights = dst->src[0], *in = dst->src[1];
    return weights->type == GGML_TYPE_F16 && has_tiles() && dst->ne[1] >= fewest_rows &&
           weights->ne[0] % depth == 0 && weights->ne[1] % (2 * side) == 0 &&
           ggml_nrows(weights) == weights->ne[1] && ggml_nrows(in) == in->ne[1] &&
           weights->nb[1] == weights->ne[0] * sizeof(ggml_fp16_t);
}

int64_t tiles_of(int64_t rows) { return (rows + side - 1) / side; }

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

// Writes the large parts of 32 numbers and their small parts.
MULLAMA_TILES inline void split(__m512 first, __m512 second, __m512i *large, __m512i *small) {
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
    alignas(64) static const uint16_t odd[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21,
                                                 23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43,
                                                 45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
    __m512i a = _mm512_castps_si512(first), b = _mm512_castps_si512(second);
    *large = _mm512_permutex2var_epi16(a, _mm512_load_si512(odd), b);
    __m512 rest_a = _mm512_sub_ps(first, _mm512_castsi512_ps(_mm512_and_si512(a, upper)));
    __m512 rest_b = _mm512_sub_ps(second, _mm512_castsi512_ps(_mm512_and_si512(b, upper)));
    *small = (__m512i)_mm512_cvtne2ps_pbh(rest_b, rest_a);
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

// Packs 16 rows of activations, of which the last may be missing, so that a row of a tile has two
// numbers of each.
MULLAMA_TILES void pack(const float *in, int64_t rows, int64_t k, char *out) {
    for (int64_t at = 0; at < k; at += depth, out += pair_bytes) {
        __m512i large[16], small[16];
        for (int64_t i = 0; i < side; i++) {
            if (i < rows) {
                const float *row = in + i * k + at;
                split(_mm512_loadu_ps(row), _mm512_loadu_ps(row + 16), &large[i], &small[i]);
            } else {
                large[i] = small[i] = _mm512_setzero_si512();
            }
        }
        transpose(large);
        transpose(small);
        for (int64_t i = 0; i < side; i++) {
            _mm512_store_si512(out + 64 * i, large[i]);
            _mm512_store_si512(out + tile_bytes + 64 * i, small[i]);
        }
    }
}

// Splits 32 columns of 32 rows of weights: a pair of tiles for 16 rows, and one for the others.
MULLAMA_TILES inline void split_weights(const ggml_fp16_t *in, int64_t k, char *out) {
    for (int64_t i = 0; i < 2 * side; i++) {
        const __m256i *from = (const __m256i *)(in + i * k);
        char *to = out + i / side * pair_bytes + i % side * 64;
        __m512i large, small;
        split(_mm512_cvtph_ps(_mm256_loadu_si256(from)),
              _mm512_cvtph_ps(_mm256_loadu_si256(from + 1)), &large, &small);
        _mm512_store_si512(to, large);
        _mm512_store_si512(to + tile_bytes, small);
    }
}

// Writes what a register tile holds, 16 columns of out, as its rows.
MULLAMA_TILES void write(const char *tile, float *out, int64_t rows, int64_t stride) {
    __m512i r[16];
    for (int64_t i = 0; i < side; i++) {
        r[i] = _mm512_load_si512(tile + 64 * i);
    }
    transpose(r);
    for (int64_t i = 0; i < rows; i++) {
        _mm512_storeu_si512(out + i * stride, r[i]);
    }
}

// Multiplies 32 rows of weights with 32 rows of activations, or with 16. Weights that are not split
// yet come from plain; the split ones go around in slots, a power of two, each for 32 columns.
template <bool both>
MULLAMA_TILES void multiply(const ggml_fp16_t *plain, char *slot, int64_t slots, const char *a,
                            int64_t k, char *result) {
    const int64_t next = k / depth * pair_bytes; // to the other 16 activations
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    auto step = [&]() MULLAMA_TILES {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 5, 6);
        if (both) {
            _tile_dpbf16ps(2, 4, 7);
            _tile_dpbf16ps(3, 5, 7);
        }
    };
    for (int64_t i = 0; i < k / depth; i++, a += pair_bytes) {
        char *w = slot + i % slots * 2 * pair_bytes;
        if (plain) {
            split_weights(plain + i * depth, k, w);
        }
        _tile_loadd(4, w + tile_bytes, 64); // small with large
        _tile_loadd(5, w + pair_bytes + tile_bytes, 64);
        _tile_loadd(6, a, 64);
        if (both) {
            _tile_loadd(7, a + next, 64);
        }
        step();
        _tile_loadd(4, w, 64); // large with large
        _tile_loadd(5, w + pair_bytes, 64);
        step();
        _tile_loadd(6, a + tile_bytes, 64); // large with small
        if (both) {
            _tile_loadd(7, a + next + tile_bytes, 64);
        }
        step();
    }
    _tile_stored(0, result, 64);
    _tile_stored(1, result + tile_bytes, 64);
    _tile_stored(2, result + 2 * tile_bytes, 64);
    _tile_stored(3, result + 3 * tile_bytes, 64);
}

// Computes 32 columns of out, for the tiles of rows from first to last.
void compute(const matrices &x, int64_t column, int64_t first, int64_t last) {
    const int64_t slots = last - first > 2 ? x.k / depth : few_slots;
    static thread_local std::vector<char> storage;
    storage.resize(std::max<size_t>(storage.size(), slots * 2 * pair_bytes + 64));
    char *slot = (char *)(((uintptr_t)storage.data() + 63) & ~(uintptr_t)63);
    const ggml_fp16_t *plain = x.weights + column * x.k;
    alignas(64) char result[4 * tile_bytes];
    tile_setup setup;
    for (int64_t tile = first; tile < last; tile += 2, plain = nullptr) {
        const char *packed = x.packed + tile * (x.k / depth) * pair_bytes;
        bool both = tile + 1 < last;
        (both ? multiply<true> : multiply<false>)(plain, slot, slots, packed, x.k, result);
        for (int64_t i = 0; i < (both ? 4 : 2); i++) {
            int64_t row = (tile + i / 2) * side;
            write(result + i * tile_bytes, x.out + row * x.stride + column + i % 2 * side,
                  std::min(side, x.m - row), x.stride);
        }
    }
}

// Does the work of one thread of those that call it together.
void multiply_matrices(const ggml_compute_params *params, ggml_tensor *dst) {
    const ggml_tensor *weights = dst->src[0], *in = dst->src[1];
    char *packed = (char *)(((uintptr_t)params->wdata + 63) & ~(uintptr_t)63);
    matrices x = {(const ggml_fp16_t *)weights->data,
                  packed,
                  (float *)dst->data,
                  dst->ne[1],
                  dst->ne[0],
                  weights->ne[0],
                  (int64_t)(dst->nb[1] / sizeof(float))};
    int64_t tiles = tiles_of(x.m), columns = x.n / (2 * side);
    for (int64_t t = params->ith; t < tiles; t += params->nth) {
        pack((const float *)in->data + t * side * x.k, std::min(side, x.m - t * side), x.k,
             packed + t * (x.k / depth) * pair_bytes);
    }
    if (params->ith == 0) {
        ggml_threadpool_chunk_set(params->threadpool, params->nth);
    }
    ggml_barrier(params->threadpool);
    // Rows are divided as well where there are too few columns to keep all threads at work.
    int64_t parts = std::min((tiles + 1) / 2, std::max<int64_t>(1, 2 * params->nth / columns));
    int64_t each = ((tiles + parts - 1) / parts + 1) & ~(int64_t)1;
    for (int64_t job = params->ith; job < columns * parts;) {
        int64_t first = job / columns * each;
        if (first < tiles) {
            compute(x, job % columns * 2 * side, first, std::min(tiles, first + each));
        }
        job = ggml_threadpool_chunk_add(params->threadpool, 1);
    }
}

} // namespace

size_t ggml_backend_amx_desired_wsize(const struct ggml_tensor *dst) {
    if (!fits_tiles(dst)) {
        return mullama_lanes_desired_wsize(dst);
    }
    return tiles_of(dst->ne[1]) * (dst->src[0]->ne[0] / depth) * pair_bytes + 64;
}

void ggml_backend_amx_mul_mat(const struct ggml_compute_params *params, struct ggml_tensor *dst) {
    if (fits_tiles(dst)) {
        multiply_matrices(params, dst);
    } else {
        mullama_lanes_mul_mat(params, dst);
    }
}

#endif
