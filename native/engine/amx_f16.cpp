// Products of float16 matrices on CPUs with AMX, for prompts and embeddings.
//
// ggml multiplies float16 weights there with AVX-512, a number in each lane. Three products in
// tiles (amx_tiles.h says why three) take less time than one in lanes, and more so the more rows of
// activations there are.
//
// CMakeLists.txt has ggml's mmq.cpp compiled with two functions renamed, as mullama_lanes_..., and
// those here take their places.
#include "amx/mmq.h"

#include "amx_tiles.h"
#include "ggml-cpu-impl.h"
#include "ggml-impl.h"

#if defined(__AMX_INT8__) && defined(__AVX512VNNI__)

#include <algorithm>

size_t mullama_lanes_desired_wsize(const struct ggml_tensor *dst);
void mullama_lanes_mul_mat(const struct ggml_compute_params *params, struct ggml_tensor *dst);

namespace {

using namespace mullama_tiles;

constexpr int64_t few_slots = 4;   // for weights that are used once
constexpr int64_t fewest_rows = 8; // below which weights are read but a time or two

struct matrices {
    const ggml_fp16_t *weights; // n rows of k
    const char *packed;         // the activations: for 16 rows and 32 columns, a pair of tiles
    float *out;                 // m rows of n
    int64_t m, n, k, stride;    // stride: floats from one row of out to the next
};

bool fits_tiles(const ggml_tensor *dst) {
    const ggml_tensor *weights = dst->src[0], *in = dst->src[1];
    return weights->type == GGML_TYPE_F16 && has_tiles() && dst->ne[1] >= fewest_rows &&
           weights->ne[0] % depth == 0 && weights->ne[1] % (2 * side) == 0 &&
           ggml_nrows(weights) == weights->ne[1] && ggml_nrows(in) == in->ne[1] &&
           weights->nb[1] == weights->ne[0] * sizeof(ggml_fp16_t);
}

// Splits 32 columns of 32 rows of weights: a pair of tiles for 16 rows, and one for the others.
MULLAMA_TILES inline void split_weights(const ggml_fp16_t *in, int64_t k, char *out) {
    for (int64_t i = 0; i < 2 * side; i++) {
        char *to = out + i / side * pair_bytes + i % side * 64;
        split_halves(in + i * k, to, to + tile_bytes);
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
    char *slot = aligned_storage(storage, slots * 2 * pair_bytes);
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
        pack((const char *)((const float *)in->data + t * side * x.k), x.k * sizeof(float),
             std::min(side, x.m - t * side), x.k, 1, packed + t * (x.k / depth) * pair_bytes);
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
