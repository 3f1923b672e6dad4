// Late interaction: packs queries for a kernel of maxsim.h and runs it over documents.
#include "maxsim.h"

#include "facade.h"

#include <cmath>
#include <limits>

namespace mn {

namespace {

constexpr int32_t max_dim = 65536;
constexpr int32_t max_query_tokens = 1 << 20;
constexpr size_t ahead = 12 << 10;       // bytes that are fetched ahead of the block at hand
constexpr size_t chunk_bytes = 12 << 10; // of decoded tokens: the L1 cache has room for a panel too

// Memory for vectors, zeroed.
template <typename T> class aligned {
  public:
    void resize(size_t n) {
        size_t bytes = (n * sizeof(T) + 63) / 64 * 64;
        data_.reset((T *)std::aligned_alloc(64, std::max<size_t>(bytes, 64)));
        if (!data_) {
            throw std::bad_alloc();
        }
        memset((void *)data_.get(), 0, bytes);
    }
    T *operator+(size_t i) const { return data_.get() + i; }
    T &operator[](size_t i) const { return data_.get()[i]; }

  private:
    struct give_back {
        void operator()(T *p) const { free(p); }
    };
    std::unique_ptr<T, give_back> data_;
};

// A few tokens of one query, side by side.
struct panel {
    size_t first;    // lane of all lanes
    int32_t vectors; // lanes / kernel's lanes
};

struct query {
    size_t panel, n_panels;
};

bool runs(const maxsim_kernel &k) { return k.runs(); }

const std::vector<const maxsim_kernel *> &kernels() {
    static const std::vector<const maxsim_kernel *> found = [] {
        std::vector<const maxsim_kernel *> list;
        for (const maxsim_kernel *all :
             {maxsim_kernels_x86, maxsim_kernels_arm, maxsim_kernels_portable}) {
            for (; all->name != nullptr; all++) {
                if (runs(*all)) {
                    list.push_back(all);
                }
            }
        }
        return list;
    }();
    return found;
}

const maxsim_kernel &find_kernel(const char *name) {
    for (const maxsim_kernel *k : kernels()) {
        if (name == nullptr || strcmp(k->name, name) == 0) {
            return *k;
        }
    }
    throw failure(MN_ERR_INVALID, "this CPU has no kernel " + std::string(name));
}

int32_t padded(int32_t dim) { return (dim + 3) / 4 * 4; }

void check_shape(int32_t kind, int32_t dim) {
    if (kind < MN_VECTORS_F32 || kind > MN_VECTORS_INT8) {
        throw failure(MN_ERR_INVALID, "unknown kind of vectors " + std::to_string(kind));
    }
    if (dim < 1 || dim > max_dim) {
        throw failure(MN_ERR_INVALID, "vectors of " + std::to_string(dim) + " numbers, not 1 to " +
                                          std::to_string(max_dim));
    }
}

size_t token_bytes(int32_t kind, int32_t dim) {
    switch (kind) {
    case MN_VECTORS_F32:
        return (size_t)dim * sizeof(float);
    case MN_VECTORS_F16:
        return (size_t)dim * sizeof(uint16_t);
    default:
        return (size_t)padded(dim) + sizeof(float);
    }
}

// Writes codes from 1 to 255, 128 for 0, and returns what one step is worth.
float quantize(const float *in, int32_t dim, uint8_t *codes) {
    float largest = 0;
    for (int32_t i = 0; i < dim; i++) {
        largest = std::max(largest, std::fabs(in[i]));
    }
    float scale = largest / 127;
    float steps = scale > 0 ? 127 / largest : 0;
    if (!std::isfinite(steps)) { // numbers this small count as 0
        scale = steps = 0;
    }
    for (int32_t i = 0; i < dim; i++) {
        codes[i] = (uint8_t)(int32_t)(in[i] * steps + 128.5F); // never negative, so this rounds
    }
    for (int32_t i = dim; i < padded(dim); i++) {
        codes[i] = 128;
    }
    return scale;
}

} // namespace

} // namespace mn

struct mn_queries {
    const mn::maxsim_kernel *kernel;
    int32_t kind, dim;
    std::vector<mn::query> queries;
    std::vector<mn::panel> panels;
    size_t lanes = 0;
    // By kind: numbers of a panel begin at those of its first lane.
    mn::aligned<float> f32;    // [dim] a lane
    mn::aligned<int8_t> i8;    // [padded dim] a lane
    mn::aligned<int32_t> bias; // one a lane
    mn::aligned<float> scales; // one a lane: what the lane's products are worth

    bool integers() const { return kind == MN_VECTORS_INT8; }
    bool fast_integers() const { return integers() && kernel->max_i8 != nullptr; }
    const mn::maxsim_tiles_fns *tiles() const {
        return fast_integers() && dim % 64 == 0 ? kernel->tiles : nullptr;
    }
};

namespace mn {

namespace {

// Cuts the tokens of each query into panels.
void lay_out(mn_queries &q, const int32_t *n_tokens, int32_t n_queries) {
    for (int32_t i = 0; i < n_queries; i++) {
        if (n_tokens[i] < 1 || n_tokens[i] > max_query_tokens) {
            throw failure(MN_ERR_INVALID, "a query of " + std::to_string(n_tokens[i]) + " tokens");
        }
        int32_t vectors = (n_tokens[i] + q.kernel->lanes - 1) / q.kernel->lanes;
        size_t first = q.panels.size();
        while (vectors > 0) {
            int32_t some = std::min(vectors, q.kernel->vectors);
            q.panels.push_back({q.lanes, some});
            q.lanes += (size_t)some * q.kernel->lanes;
            vectors -= some;
        }
        q.queries.push_back({first, q.panels.size() - first});
    }
}

// Puts one token into its lane.
void place_f32(mn_queries &q, const panel &p, int32_t lane, const float *token) {
    float *to = q.f32 + p.first * q.dim + lane;
    for (int32_t k = 0; k < q.dim; k++) {
        to[(size_t)k * p.vectors * q.kernel->lanes] = token[k];
    }
}

// Integers are the same for all kernels, so that all find the same documents.
void place_i8(mn_queries &q, const panel &p, int32_t lane, const float *token) {
    int32_t dim = padded(q.dim), width = p.vectors * q.kernel->lanes;
    std::vector<uint8_t> codes(dim);
    q.scales[p.first + lane] = quantize(token, q.dim, codes.data());
    if (!q.fast_integers()) {
        std::vector<float> whole(q.dim);
        std::transform(codes.begin(), codes.begin() + q.dim, whole.begin(),
                       [](uint8_t code) { return (float)(code - 128); });
        place_f32(q, p, lane, whole.data());
        return;
    }
    int32_t sum = 0;
    for (int32_t k = 0; k < dim; k++) {
        int8_t code = (int8_t)(codes[k] - 128);
        q.i8[p.first * dim + ((size_t)(k / 4) * width + lane) * 4 + k % 4] = code;
        sum += code;
    }
    q.bias[p.first + lane] = -128 * sum;
}

void pack(mn_queries &q, const float *vectors, const int32_t *n_tokens) {
    if (q.fast_integers()) {
        q.i8.resize(q.lanes * padded(q.dim));
        q.bias.resize(q.lanes);
    } else {
        q.f32.resize(q.lanes * q.dim);
    }
    q.scales.resize(q.lanes);
    for (size_t i = 0; i < q.queries.size(); i++) {
        for (int32_t token = 0; token < n_tokens[i]; token++, vectors += q.dim) {
            int32_t most = q.kernel->vectors * q.kernel->lanes; // all panels but the last have it
            const panel &p = q.panels[q.queries[i].panel + token / most];
            if (q.integers()) {
                place_i8(q, p, token % most, vectors);
            } else {
                place_f32(q, p, token % most, vectors);
                q.scales[p.first + token % most] = 1;
            }
        }
    }
}

// One document of a call, and memory to work in.
struct scorer {
    const mn_queries &q;
    const maxsim_kernel &k;
    aligned<float> best;    // one a lane
    aligned<float> decoded; // a chunk of tokens
    int32_t chunk;          // tokens
    aligned<uint8_t> spare; // for tiles
    maxsim_tile_state before;

    scorer(const scorer &) = delete;
    scorer &operator=(const scorer &) = delete;
    explicit scorer(const mn_queries &queries) : q(queries), k(*queries.kernel) {
        int32_t fit = (int32_t)(chunk_bytes / ((size_t)q.dim * sizeof(float)));
        chunk = std::max(fit / k.rows, 1) * k.rows;
        best.resize(q.lanes);
        decoded.resize((size_t)chunk * q.dim);
        if (q.tiles() != nullptr) {
            spare.resize((size_t)32 * q.dim);
            q.tiles()->begin(&before);
        }
    }
    ~scorer() {
        if (q.tiles() != nullptr) {
            q.tiles()->end(&before);
        }
    }

    void score(const uint8_t *vectors, int32_t n, float *scores, size_t stride);
    const float *floats(const uint8_t *vectors, const float *scales, int32_t first, int32_t n);
    template <typename F> void blocks(int32_t n, F &&f);
    maxsim_fetch ahead_of(const uint8_t *vectors, size_t token, int32_t rows) const;
    float total(const query &one) const;
};

// Cuts n tokens into blocks of about the same size: small ones leave a CPU waiting.
template <typename F> void scorer::blocks(int32_t n, F &&f) {
    int32_t left = (n + k.rows - 1) / k.rows;
    for (int32_t first = 0; first < n; left--) {
        int32_t rows = (n - first + left - 1) / left;
        f(first, rows);
        first += rows;
    }
}

const float *scorer::floats(const uint8_t *vectors, const float *scales, int32_t first, int32_t n) {
    if (q.kind == MN_VECTORS_F32) {
        return (const float *)vectors + (size_t)first * q.dim;
    }
    if (q.kind == MN_VECTORS_F16) {
        k.from_f16((const uint16_t *)vectors + (size_t)first * q.dim, n * q.dim, decoded + 0);
        return decoded + 0;
    }
    for (int32_t i = 0; i < n; i++) {
        k.from_i8(vectors + (size_t)(first + i) * padded(q.dim), q.dim, scales[first + i],
                  decoded + (size_t)i * q.dim);
    }
    return decoded + 0;
}

// What to fetch during a block that begins with a token. It may be behind the document's end, where
// most likely the next one is; nothing is read there.
maxsim_fetch scorer::ahead_of(const uint8_t *vectors, size_t token, int32_t rows) const {
    size_t number = q.kind == MN_VECTORS_F32 ? 4 : q.kind == MN_VECTORS_F16 ? 2 : 1;
    size_t offset = token * q.dim * number + ahead;
    size_t step = rows * number * (q.fast_integers() ? 4 : 1);
    return {(const char *)((uintptr_t)vectors + offset), step};
}

float scorer::total(const query &one) const {
    double sum = 0;
    const panel &last = q.panels[one.panel + one.n_panels - 1];
    size_t end = last.first + (size_t)last.vectors * k.lanes;
    for (size_t lane = q.panels[one.panel].first; lane < end; lane++) {
        if (q.scales[lane] != 0) { // not one that pads
            sum += (double)best[lane] * q.scales[lane];
        }
    }
    return (float)sum;
}

void scorer::score(const uint8_t *vectors, int32_t n, float *scores, size_t stride) {
    std::fill(best + 0, best + q.lanes, -std::numeric_limits<float>::infinity());
    const float *scales = (const float *)(vectors + (size_t)n * padded(q.dim));
    if (q.tiles() != nullptr) {
        for (const panel &p : q.panels) {
            q.tiles()->max({q.i8 + p.first * q.dim, q.bias + p.first, vectors, scales, spare + 0,
                            best + p.first, ahead, p.vectors, n, q.dim});
        }
        n = 0; // no blocks
    }
    int32_t chunk_rows = q.kind == MN_VECTORS_F32 && q.panels.size() == 1 ? n : chunk;
    for (int32_t at = 0; at < n; at += chunk_rows) {
        int32_t rows = std::min(chunk_rows, n - at);
        const float *in = q.fast_integers() ? nullptr : floats(vectors, scales, at, rows);
        for (const panel &p : q.panels) {
            size_t row = (size_t)(p.vectors - 1) * k.rows - 1; // of the tables of functions
            blocks(rows, [&](int32_t first, int32_t some) {
                size_t token = (size_t)at + first;
                maxsim_fetch fetch = ahead_of(vectors, token, some);
                if (in != nullptr) {
                    k.max_f32[row + some](q.f32 + p.first * q.dim, in + (size_t)first * q.dim,
                                          q.dim, fetch, best + p.first);
                    return;
                }
                k.max_i8[row + some](q.i8 + p.first * padded(q.dim), q.bias + p.first,
                                     vectors + token * padded(q.dim), padded(q.dim), scales + token,
                                     fetch, best + p.first);
            });
        }
    }
    for (const query &one : q.queries) {
        *scores = total(one);
        scores += stride;
    }
}

} // namespace

const char *maxsim_kernel_name(int32_t index) {
    bool known = index >= 0 && index < (int32_t)kernels().size();
    return known ? kernels()[index]->name : nullptr;
}

size_t maxsim_size(int32_t kind, int32_t dim, int32_t n_tokens) {
    return token_bytes(kind, dim) * (size_t)n_tokens;
}

mn_status maxsim_new(const mn_queries_params *p, mn_queries **out, mn_error *err) {
    return guard(err, [&] {
        check_shape(p->kind, p->dim);
        auto q = std::make_unique<mn_queries>();
        q->kernel = &find_kernel(p->kernel);
        q->kind = p->kind;
        q->dim = p->dim;
        lay_out(*q, p->n_tokens, p->n_queries);
        pack(*q, p->vectors, p->n_tokens);
        *out = q.release();
    });
}

void maxsim_free(mn_queries *q) { delete q; }

mn_status maxsim_score(const mn_queries *q, const void *base, size_t size, const mn_document *docs,
                       int32_t n_docs, float *scores, mn_error *err) {
    return guard(err, [&] {
        scorer s(*q);
        for (int32_t i = 0; i < n_docs; i++) {
            int32_t n = docs[i].n_tokens;
            if (n < 1 || docs[i].offset > size || docs[i].offset % 4 != 0 ||
                maxsim_size(q->kind, q->dim, n) > size - docs[i].offset) {
                throw failure(MN_ERR_INVALID, "document " + std::to_string(i) +
                                                  " is not within the memory that was given");
            }
            s.score((const uint8_t *)base + docs[i].offset, n, scores + i, (size_t)n_docs);
        }
    });
}

// Calls f with the products of each panel with some rows: [some][width] of them.
template <typename F>
static void each_products(const mn_queries &q, const float *rows, int32_t n, F &&f) {
    if (q.kind != MN_VECTORS_F32) {
        throw failure(MN_ERR_INVALID, "products are of queries for float vectors");
    }
    scorer s(q);
    const maxsim_kernel &k = *q.kernel;
    std::vector<float> products((size_t)k.rows * k.vectors * k.lanes);
    for (const panel &p : q.panels) {
        size_t row = (size_t)(p.vectors - 1) * k.rows - 1;
        s.blocks(n, [&](int32_t first, int32_t some) {
            k.dots_f32[row + some](q.f32 + p.first * q.dim, rows + (size_t)first * q.dim, q.dim,
                                   {(const char *)rows, 0}, products.data());
            f(p, first, some, products.data());
        });
    }
}

mn_status maxsim_dots(const mn_queries *q, const float *rows, int32_t n, float *out,
                      mn_error *err) {
    return guard(err, [&] {
        each_products(*q, rows, n, [&](const panel &p, int32_t first, int32_t some, float *in) {
            size_t width = (size_t)p.vectors * q->kernel->lanes;
            for (int32_t i = 0; i < some; i++) {
                memcpy(out + (size_t)(first + i) * q->lanes + p.first, in + i * width,
                       width * sizeof(float));
            }
        });
    });
}

mn_status maxsim_nearest(const mn_queries *q, const float *rows, int32_t n, int32_t *out,
                         mn_error *err) {
    return guard(err, [&] {
        std::vector<float> best(q->lanes, -std::numeric_limits<float>::infinity());
        each_products(*q, rows, n, [&](const panel &p, int32_t first, int32_t some, float *in) {
            int32_t width = p.vectors * q->kernel->lanes;
            float *top = best.data() + p.first;
            int32_t *at = out + p.first;
            for (int32_t i = 0; i < some; i++, in += width) {
                for (int32_t lane = 0; lane < width; lane++) { // as selections, not as branches
                    bool more = in[lane] > top[lane];
                    at[lane] = more ? first + i : at[lane];
                    top[lane] = more ? in[lane] : top[lane];
                }
            }
        });
    });
}

int64_t maxsim_lanes(const mn_queries *q) { return (int64_t)q->lanes; }

mn_status maxsim_encode(int32_t kind, int32_t dim, const float *in, int32_t n, void *out,
                        mn_error *err) {
    return guard(err, [&] {
        check_shape(kind, dim);
        size_t count = (size_t)n * dim;
        if (kind == MN_VECTORS_F32) {
            memcpy(out, in, count * sizeof(float));
        } else if (kind == MN_VECTORS_F16) {
            ggml_fp32_to_fp16_row(in, (ggml_fp16_t *)out, (int64_t)count);
        } else {
            uint8_t *codes = (uint8_t *)out;
            float *scales = (float *)(codes + (size_t)n * padded(dim));
            for (int32_t i = 0; i < n; i++) {
                scales[i] = quantize(in + (size_t)i * dim, dim, codes + (size_t)i * padded(dim));
            }
        }
    });
}

mn_status maxsim_decode(int32_t kind, int32_t dim, const void *in, int32_t n, float *out,
                        mn_error *err) {
    return guard(err, [&] {
        check_shape(kind, dim);
        size_t count = (size_t)n * dim;
        if (kind == MN_VECTORS_F32) {
            memcpy(out, in, count * sizeof(float));
        } else if (kind == MN_VECTORS_F16) {
            ggml_fp16_to_fp32_row((const ggml_fp16_t *)in, out, (int64_t)count);
        } else {
            const uint8_t *codes = (const uint8_t *)in;
            const float *scales = (const float *)(codes + (size_t)n * padded(dim));
            const maxsim_kernel &k = *kernels().front();
            for (int32_t i = 0; i < n; i++) {
                k.from_i8(codes + (size_t)i * padded(dim), dim, scales[i], out + (size_t)i * dim);
            }
        }
    });
}

} // namespace mn
