// Attention on CPUs with AMX, for embeddings.
//
// ggml computes it with AVX-512, a number in each lane, which for texts of 512 tokens takes as long
// as all other work of a small model. Here keys, queries, weights and values are multiplied in
// tiles, three products for each (amx_tiles.h says why), and a lane has one query, so that the
// softmax needs no sums across lanes.
//
// CMakeLists.txt has ggml's ops.cpp compiled with its function renamed, as mullama_lanes_..., and
// the one here takes its place. What does not fit goes there, and so does attention to a cache:
// tiles round otherwise than lanes, and a text must not depend on what of its prompt was cached.
#include "amx_tiles.h"

#include "amx/amx.h"
#include "ggml-cpu-impl.h"
#include "ops.h"

extern "C" void mullama_lanes_flash_attn_ext(const struct ggml_compute_params *params,
                                             struct ggml_tensor *dst);

#if defined(__AMX_INT8__) && defined(__AVX512VNNI__)

#include "vec.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace {

using namespace mullama_tiles;

constexpr int64_t cells = 64;          // keys and values that are looked at together
constexpr int64_t most_queries = 128;  // for which they are packed once
constexpr int64_t fewest_queries = 16; // below which tiles would be half empty
constexpr int64_t widest_head = 512;
constexpr float nothing = -INFINITY; // the logarithm of no weight

struct attention {
    const ggml_tensor *q, *k, *v, *mask;
    ggml_tensor *dst;
    float scale, max_bias;
    int64_t key_width, width; // of a key and of a value
};

// What a thread computes with.
struct scratch {
    char *queries; // for 16 of them and 32 columns, a pair of tiles; a lane has a query
    char *keys;    // for 32 columns and 16 cells, a pair of tiles
    char *values;  // for 32 cells and 16 columns, a pair of tiles
    char *weights; // for 32 cells, a pair of tiles
    float *scores; // of cells and 16 queries
    float *out;    // columns of 16 queries
    float *top;    // the largest score of a query so far
    float *sum;    // of its weights
};

// One head's queries from first on, of one stream.
struct part {
    int64_t head, stream, first, rows;
};

const char *row_of(const ggml_tensor *t, int64_t row, int64_t head, int64_t stream) {
    return (const char *)t->data + row * t->nb[1] + head * t->nb[2] + stream * t->nb[3];
}

const char *cell_of(const attention &x, const ggml_tensor *t, int64_t cell, const part &p) {
    return row_of(t, cell, p.head / (x.q->ne[2] / t->ne[2]), p.stream / (x.q->ne[3] / t->ne[3]));
}

// A query beyond the last has the mask of the last; nobody reads what comes of it.
const ggml_fp16_t *mask_of(const attention &x, const part &p, int64_t query, int64_t cell) {
    int64_t row = p.first + std::min(query, p.rows - 1);
    return (const ggml_fp16_t *)row_of(x.mask, row, p.head % x.mask->ne[2],
                                       p.stream % x.mask->ne[3]) +
           cell;
}

enum class masked { none, some, all };

// Says whether 16 queries may look at n cells.
MULLAMA_TILES masked look(const attention &x, const part &p, int64_t query, int64_t cell,
                          int64_t n) {
    if (!x.mask) {
        return masked::none;
    }
    const __m512i never = _mm512_set1_epi16((short)0xfc00); // the float16 of nothing
    __mmask32 changed = 0, open = 0;
    for (int64_t i = 0; i < side; i++) {
        const ggml_fp16_t *row = mask_of(x, p, query + i, cell);
        for (int64_t at = 0; at < n; at += 32) {
            __mmask32 lanes = n - at < 32 ? ((__mmask32)1 << (n - at)) - 1 : ~(__mmask32)0;
            __m512i m = _mm512_maskz_loadu_epi16(lanes, row + at);
            changed |= _mm512_mask_test_epi16_mask(lanes, m, m);
            open |= _mm512_mask_cmpneq_epi16_mask(lanes, m, never);
        }
    }
    return !changed ? masked::none : open ? masked::some : masked::all;
}

// Packs n cells of keys, and nothings up to a multiple of 32.
MULLAMA_TILES void pack_keys(const attention &x, const part &p, int64_t cell, int64_t n,
                             char *out) {
    for (int64_t i = 0; i < (n + 31) / 32 * 32; i++) {
        const ggml_fp16_t *key = (const ggml_fp16_t *)cell_of(x, x.k, cell + i, p);
        char *to = out + i / side * pair_bytes + i % side * 64;
        for (int64_t at = 0; at < x.key_width; at += depth, to += cells / side * pair_bytes) {
            if (i < n) {
                split_halves(key + at, to, to + tile_bytes);
            } else {
                _mm512_store_si512(to, _mm512_setzero_si512());
                _mm512_store_si512(to + tile_bytes, _mm512_setzero_si512());
            }
        }
    }
}

// Packs n cells of values, with rows and columns swapped.
MULLAMA_TILES void pack_values(const attention &x, const part &p, int64_t cell, int64_t n,
                               char *out) {
    for (int64_t first = 0; first < n; first += depth) {
        for (int64_t column = 0; column < x.width; column += side, out += pair_bytes) {
            __m512i large[16], small[16];
            for (int64_t i = 0; i < side; i++) {
                __m512 pair[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
                for (int64_t j = 0; j < 2 && first + 2 * i + j < n; j++) {
                    const char *value = cell_of(x, x.v, cell + first + 2 * i + j, p);
                    pair[j] =
                        _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(value + column * 2)));
                }
                split_pairs(pair[0], pair[1], &large[i], &small[i]);
            }
            transpose(large);
            transpose(small);
            store_tile(large, out);
            store_tile(small, out + tile_bytes);
        }
    }
}

// Multiplies 64 keys, or 32, with 16 queries. Scores have a row for each key.
template <bool both>
MULLAMA_TILES void score(const char *keys, const char *queries, int64_t width, float *scores) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t at = 0; at < width; at += depth) {
        _tile_loadd(6, queries, 64); // large
        _tile_loadd(7, queries + tile_bytes, 64);
        _tile_loadd(4, keys, 64);
        _tile_loadd(5, keys + pair_bytes, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 5, 6);
        _tile_dpbf16ps(0, 4, 7);
        _tile_dpbf16ps(1, 5, 7);
        _tile_loadd(4, keys + tile_bytes, 64); // small
        _tile_loadd(5, keys + pair_bytes + tile_bytes, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 5, 6);
        if (both) {
            _tile_loadd(4, keys + 2 * pair_bytes, 64);
            _tile_loadd(5, keys + 3 * pair_bytes, 64);
            _tile_dpbf16ps(2, 4, 6);
            _tile_dpbf16ps(3, 5, 6);
            _tile_dpbf16ps(2, 4, 7);
            _tile_dpbf16ps(3, 5, 7);
            _tile_loadd(4, keys + 2 * pair_bytes + tile_bytes, 64);
            _tile_loadd(5, keys + 3 * pair_bytes + tile_bytes, 64);
            _tile_dpbf16ps(2, 4, 6);
            _tile_dpbf16ps(3, 5, 6);
        }
        queries += pair_bytes;
        keys += cells / side * pair_bytes;
    }
    _tile_stored(0, scores, 64);
    _tile_stored(1, scores + side * side, 64);
    if (both) {
        _tile_stored(2, scores + 2 * side * side, 64);
        _tile_stored(3, scores + 3 * side * side, 64);
    }
}

// Adds the mask of 16 queries to their scores of n cells.
MULLAMA_TILES void add_mask(const attention &x, const part &p, int64_t query, int64_t cell,
                            int64_t n, float slope, float *scores) {
    for (int64_t first = 0; first < n; first += side) {
        int64_t some = std::min(side, n - first);
        __mmask16 lanes = (__mmask16)((1u << some) - 1);
        __m512i m[16];
        for (int64_t i = 0; i < side; i++) {
            __m256i half = _mm512_castsi512_si256(
                _mm512_maskz_loadu_epi16(lanes, mask_of(x, p, query + i, cell + first)));
            m[i] = _mm512_castps_si512(_mm512_mul_ps(_mm512_cvtph_ps(half), _mm512_set1_ps(slope)));
        }
        transpose(m);
        for (int64_t i = 0; i < some; i++) {
            float *row = scores + (first + i) * side;
            _mm512_store_ps(row, _mm512_add_ps(_mm512_load_ps(row), _mm512_castsi512_ps(m[i])));
        }
    }
}

// Makes weights of the scores of n cells, relative to the largest scores so far. Where those become
// larger, what was computed with the ones before is made smaller.
MULLAMA_TILES void weigh(const scratch &s, int64_t n, int64_t width, float *out, float *top,
                         float *sum) {
    __m512 before = _mm512_load_ps(top), now = before;
    for (int64_t i = 0; i < n; i++) {
        now = _mm512_max_ps(_mm512_load_ps(s.scores + i * side), now);
    }
    __mmask16 seen = _mm512_cmp_ps_mask(now, _mm512_set1_ps(nothing), _CMP_NEQ_UQ);
    __m512 zero = _mm512_maskz_mov_ps(seen, now); // where there is no score, all weights are 0
    __m512 total = _mm512_load_ps(sum);
    if (_mm512_cmp_ps_mask(now, before, _CMP_NEQ_UQ)) {
        __m512 less = ggml_v_expf(_mm512_sub_ps(before, zero));
        for (int64_t i = 0; i < width; i++) {
            _mm512_store_ps(out + i * side, _mm512_mul_ps(_mm512_load_ps(out + i * side), less));
        }
        total = _mm512_mul_ps(total, less);
        _mm512_store_ps(top, now);
    }
    for (int64_t i = 0; i < (n + 31) / 32 * 32; i += 2) {
        __m512 pair[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
        for (int64_t j = 0; j < 2 && i + j < n; j++) {
            pair[j] = ggml_v_expf(_mm512_sub_ps(_mm512_load_ps(s.scores + (i + j) * side), zero));
        }
        total = _mm512_add_ps(total, _mm512_add_ps(pair[0], pair[1]));
        __m512i large, small;
        split_pairs(pair[0], pair[1], &large, &small);
        char *to = s.weights + i / depth * pair_bytes + i % depth / 2 * 64;
        _mm512_store_si512(to, large);
        _mm512_store_si512(to + tile_bytes, small);
    }
    _mm512_store_ps(sum, total);
}

// Adds the values of n cells, times the weights of 16 queries, to what is computed so far.
MULLAMA_TILES void add_values(const scratch &s, int64_t n, int64_t width, float *out) {
    const int64_t next = width / side * pair_bytes; // to the values of the next 32 cells
    for (int64_t column = 0; column < width; column += 2 * side, out += 2 * side * side) {
        _tile_loadd(0, out, 64);
        _tile_loadd(1, out + side * side, 64);
        const char *values = s.values + column / side * pair_bytes, *weights = s.weights;
        for (int64_t first = 0; first < n; first += depth) {
            _tile_loadd(6, weights, 64); // large
            _tile_loadd(7, weights + tile_bytes, 64);
            _tile_loadd(4, values, 64);
            _tile_loadd(5, values + pair_bytes, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 5, 6);
            _tile_dpbf16ps(0, 4, 7);
            _tile_dpbf16ps(1, 5, 7);
            _tile_loadd(4, values + tile_bytes, 64); // small
            _tile_loadd(5, values + pair_bytes + tile_bytes, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 5, 6);
            weights += pair_bytes;
            values += next;
        }
        _tile_stored(0, out, 64);
        _tile_stored(1, out + side * side, 64);
    }
}

// Writes the rows of 16 queries.
MULLAMA_TILES void write(const attention &x, const part &p, int64_t query, const scratch &s) {
    __m512 sum = _mm512_load_ps(s.sum + query);
    __mmask16 some = _mm512_cmp_ps_mask(sum, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    __m512 scale = _mm512_maskz_div_ps(some, _mm512_set1_ps(1), sum);
    const float *out = s.out + query * x.width;
    for (int64_t column = 0; column < x.width; column += side) {
        __m512i r[16];
        for (int64_t i = 0; i < side; i++) {
            __m512 numbers = _mm512_load_ps(out + (column + i) * side);
            r[i] = _mm512_castps_si512(_mm512_mul_ps(numbers, scale));
        }
        transpose(r);
        for (int64_t i = 0; i < std::min(side, p.rows - query); i++) {
            int64_t row = p.first + query + i;
            char *to = (char *)x.dst->data + row * x.dst->nb[2] + p.head * x.dst->nb[1] +
                       p.stream * x.dst->nb[3];
            _mm512_storeu_si512(to + column * sizeof(float), r[i]);
        }
    }
}

float slope_of(const attention &x, int64_t head) {
    if (x.max_bias <= 0) {
        return 1;
    }
    int64_t heads = (int64_t)1 << (int64_t)std::floor(std::log2(x.q->ne[2]));
    float power = head < heads ? head + 1 : (2 * (head - heads) + 1) / 2.0f;
    return std::pow(2.0f, -x.max_bias / heads * power);
}

// Lays out the memory of this thread.
scratch make_scratch(const attention &x, int64_t queries) {
    static thread_local std::vector<char> storage;
    int64_t split = 2 * sizeof(uint16_t); // bytes of a number
    int64_t sizes[] = {queries * x.key_width * split,
                       cells * x.key_width * split,
                       cells * x.width * split,
                       cells * side * split,
                       cells * side * (int64_t)sizeof(float),
                       queries * x.width * (int64_t)sizeof(float),
                       queries * (int64_t)sizeof(float),
                       queries * (int64_t)sizeof(float)};
    char *at[8];
    int64_t total = 0;
    for (int64_t size : sizes) {
        total += size;
    }
    at[0] = aligned_storage(storage, total);
    for (int i = 1; i < 8; i++) {
        at[i] = at[i - 1] + sizes[i - 1];
    }
    return {at[0],          at[1],          at[2],          at[3],
            (float *)at[4], (float *)at[5], (float *)at[6], (float *)at[7]};
}

// Computes the rows of a part.
void attend(const attention &x, const part &p) {
    const int64_t n_cells = x.k->ne[1], queries = tiles_of(p.rows) * side;
    scratch s = make_scratch(x, queries);
    const int64_t query_bytes = x.key_width / depth * pair_bytes; // of 16
    for (int64_t i = 0; i < queries; i += side) {
        pack(row_of(x.q, p.first + i, p.head, p.stream), x.q->nb[1], std::min(side, p.rows - i),
             x.key_width, x.scale, s.queries + i / side * query_bytes);
    }
    std::fill_n(s.out, queries * x.width, 0.0f);
    std::fill_n(s.top, queries, nothing);
    std::fill_n(s.sum, queries, 0.0f);
    const float slope = slope_of(x, p.head);
    tile_setup setup;
    for (int64_t cell = 0; cell < n_cells; cell += cells) {
        int64_t n = std::min(cells, n_cells - cell);
        bool packed = false;
        for (int64_t i = 0; i < queries; i += side) {
            masked how = look(x, p, i, cell, n);
            if (how == masked::all) {
                continue;
            }
            if (!packed) {
                pack_keys(x, p, cell, n, s.keys);
                pack_values(x, p, cell, n, s.values);
                packed = true;
            }
            (n > 32 ? score<true> : score<false>)(s.keys, s.queries + i / side * query_bytes,
                                                  x.key_width, s.scores);
            if (how == masked::some) {
                add_mask(x, p, i, cell, n, slope, s.scores);
            }
            float *out = s.out + i * x.width;
            weigh(s, n, x.width, out, s.top + i, s.sum + i);
            add_values(s, n, x.width, out);
        }
    }
    for (int64_t i = 0; i < queries; i += side) {
        write(x, p, i, s);
    }
}

attention attention_of(ggml_tensor *dst) {
    attention x = {};
    x.q = dst->src[0];
    x.k = dst->src[1];
    x.v = dst->src[2];
    x.mask = dst->src[3];
    x.dst = dst;
    memcpy(&x.scale, (const float *)dst->op_params, sizeof(float));
    memcpy(&x.max_bias, (const float *)dst->op_params + 1, sizeof(float));
    x.key_width = x.k->ne[0];
    x.width = x.v->ne[0];
    return x;
}

// A cache's keys are a view of a tensor that no operation computed.
bool in_cache(const ggml_tensor *k) { return k->view_src && k->view_src->op == GGML_OP_NONE; }

bool fits_tiles(const ggml_compute_params *params, ggml_tensor *dst) {
    // Asking for the buffers asks the kernel for the tiles.
    static const bool usable = has_tiles() && ggml_backend_amx_buffer_type();
    const attention x = attention_of(dst);
    float softcap = 0;
    memcpy(&softcap, (const float *)dst->op_params + 2, sizeof(float));
    bool plain = softcap == 0 && !dst->src[4]; // no caps, no sinks
    bool types = x.q->type == GGML_TYPE_F32 && x.k->type == GGML_TYPE_F16 &&
                 x.v->type == GGML_TYPE_F16 && (!x.mask || x.mask->type == GGML_TYPE_F16);
    bool widths = x.key_width % depth == 0 && x.width % depth == 0 && x.key_width <= widest_head &&
                  x.width <= widest_head;
    return usable && !params->use_ref && plain && types && widths && !in_cache(x.k) &&
           x.q->ne[1] >= fewest_queries && x.q->nb[0] == sizeof(float) &&
           x.k->nb[0] == sizeof(ggml_fp16_t) && x.v->nb[0] == sizeof(ggml_fp16_t);
}

// Does the work of one thread of those that call it together.
void attend_together(const ggml_compute_params *params, ggml_tensor *dst) {
    const attention x = attention_of(dst);
    const int64_t rows = x.q->ne[1], heads = x.q->ne[2], streams = x.q->ne[3];
    int64_t each = most_queries;
    while (each > side && (rows + each - 1) / each * heads * streams < 4 * params->nth) {
        each /= 2;
    }
    const int64_t blocks = (rows + each - 1) / each;
    if (params->ith == 0) {
        ggml_threadpool_chunk_set(params->threadpool, params->nth);
    }
    ggml_barrier(params->threadpool);
    for (int64_t job = params->ith; job < blocks * heads * streams;) {
        int64_t first = job % blocks * each, head = job / blocks;
        attend(x, {head % heads, head / heads, first, std::min(each, rows - first)});
        job = ggml_threadpool_chunk_add(params->threadpool, 1);
    }
}

} // namespace

void ggml_compute_forward_flash_attn_ext(const struct ggml_compute_params *params,
                                         struct ggml_tensor *dst) {
    if (fits_tiles(params, dst)) {
        attend_together(params, dst);
    } else {
        mullama_lanes_flash_attn_ext(params, dst);
    }
}

#else

void ggml_compute_forward_flash_attn_ext(const struct ggml_compute_params *params,
                                         struct ggml_tensor *dst) {
    mullama_lanes_flash_attn_ext(params, dst);
}

#endif
