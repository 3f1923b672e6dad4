// Documents in the memory of a device: where they lie there, and how they get there.
#include "corpus.h"

#include <cmath>
#include <numeric>
#include <tuple>

namespace mn {

namespace {

// A buffer holds up to so much: some devices refuse more, and less is left over at its end.
constexpr size_t most_buffer = (size_t)2 << 30;

// More than what is lost where documents of another length begin, at a multiple of `align`: there
// are fewer than 150 lengths.
constexpr size_t lengths_rest = (size_t)64 << 10;

// What must stay free for what the device's libraries take while they compute.
constexpr size_t reserve = (size_t)256 << 20;

// Vectors are filled up to a multiple of so many numbers, for tensor cores.
constexpr int32_t width_step = 8;

// Numbers that not even the largest scale brings into half floats count as so much.
constexpr double least_length = 1e-30;

constexpr size_t default_chunk = (size_t)32 << 20;

// The length that a document is filled up to: 8, or a multiple of 16 that costs an eighth at most.
int32_t filled(int32_t n) {
    if (n <= 8) {
        return 8;
    }
    int32_t step = 16;
    while (step * 16 <= n) {
        step *= 2;
    }
    return (n + step - 1) / step * step;
}

std::string megabytes(size_t bytes) {
    return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MB";
}

// Writes a vector as floats.
void decode_row(int32_t kind, int32_t dim, const uint8_t *in, float scale, float *out) {
    switch (kind) {
    case MN_VECTORS_F32:
        memcpy(out, in, dim * sizeof(float));
        break;
    case MN_VECTORS_F16:
        ggml_fp16_to_fp32_row((const ggml_fp16_t *)in, out, dim);
        break;
    default:
        for (int32_t i = 0; i < dim; i++) {
            out[i] = (float)((int32_t)in[i] - 128) * scale;
        }
    }
}

struct measure_of {
    float largest; // number
    float length;  // of a vector
};

measure_of measure_rows(const float *rows, int32_t n, int32_t dim) {
    double longest = 0;
    float largest = 0;
    for (int32_t i = 0; i < n; i++, rows += dim) {
        double sum = 0;
        for (int32_t k = 0; k < dim; k++) {
            sum += (double)rows[k] * rows[k];
            largest = std::max(largest, std::fabs(rows[k]));
        }
        longest = std::max(longest, sum);
    }
    return {largest, (float)std::max(std::sqrt(longest), least_length)};
}

// Backends that have threads take their number by a function of their own.
void set_threads(const mn_corpus &c, int32_t n) {
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(c.device);
    auto set = (ggml_backend_set_n_threads_t)ggml_backend_reg_get_proc_address(
        reg, "ggml_backend_set_n_threads");
    if (set && n > 0) {
        set(c.backend.get(), n);
    }
}

} // namespace

size_t corpus_align(size_t n, size_t to) { return (n + to - 1) / to * to; }

void corpus_place(ggml_tensor *t, ggml_backend_buffer_t buffer, size_t offset) {
    char *base = (char *)ggml_backend_buffer_get_base(buffer);
    if (ggml_backend_tensor_alloc(buffer, t, base + offset) != GGML_STATUS_SUCCESS) {
        throw failure(MN_ERR_MEMORY, "the device has no memory for a tensor");
    }
}

ggml_context_ptr corpus_tensors(size_t n_tensors, size_t n_nodes) {
    size_t graph = n_nodes > 0 ? ggml_graph_overhead_custom(n_nodes, false) : 0;
    ggml_context_ptr ctx(ggml_init({n_tensors * ggml_tensor_overhead() + graph, nullptr, true}));
    if (!ctx) {
        throw std::bad_alloc();
    }
    return ctx;
}

float corpus_scale(float largest) {
    if (largest == 0 || (largest >= 1.0F / 16 && largest <= 256)) {
        return 1;
    }
    int exponent = 0;
    std::frexp(largest, &exponent);
    return std::ldexp(1.0F, std::min(1 - exponent, 126));
}

} // namespace mn

using namespace mn;

ggml_backend_buffer_type_t mn_corpus::host_type() const {
    ggml_backend_buffer_type_t type = ggml_backend_dev_host_buffer_type(device);
    return type ? type : ggml_backend_cpu_buffer_type();
}

ggml_backend_buffer_ptr mn_corpus::allocate(size_t size) const {
    log_capture log; // what ggml says of it
    ggml_backend_buffer_ptr buffer(
        ggml_backend_buft_alloc_buffer(ggml_backend_dev_buffer_type(device), size));
    if (!buffer) {
        throw failure(MN_ERR_MEMORY,
                      "device " + name + " has no memory left for " + megabytes(size));
    }
    return buffer;
}

void mn_corpus::check_memory(size_t more) const {
    size_t free = 0, total = 0;
    ggml_backend_dev_memory(device, &free, &total);
    if (total > 0 && more + reserve > free) {
        throw failure(MN_ERR_MEMORY, "the vectors take " + megabytes(more) + " on device " + name +
                                         ", which has " +
                                         megabytes(free > reserve ? free - reserve : 0) +
                                         " free for them");
    }
}

// Sorts documents by the length that they are filled up to, those of one length as they come.
void mn_corpus::extend(const int32_t *n_tokens, int64_t n_docs, int64_t *order) {
    std::vector<int64_t> sorted(n_docs);
    std::iota(sorted.begin(), sorted.end(), 0);
    std::stable_sort(sorted.begin(), sorted.end(), [&](int64_t a, int64_t b) {
        return filled(n_tokens[a]) < filled(n_tokens[b]);
    });
    size_t more = 0;
    for (int64_t i = 0; i < n_docs; i++) {
        if (n_tokens[i] < 1) {
            throw failure(MN_ERR_INVALID, "document " + std::to_string(i) + " has no tokens");
        }
        more += filled(n_tokens[i]) * vector_bytes();
    }
    check_memory(more);
    std::vector<ggml_backend_buffer_ptr> made;
    std::vector<corpus_run> added = lay_out(n_tokens, sorted.data(), n_docs, made);
    std::copy(sorted.begin(), sorted.end(), order);
    scales.resize(scales.size() + n_docs, 1);
    longest = n_docs > 0 ? std::max(longest, filled(n_tokens[sorted.back()])) : longest;
    std::move(made.begin(), made.end(), std::back_inserter(buffers));
    runs.insert(runs.end(), added.begin(), added.end());
    bytes += more;
    graphs.clear();
}

// Gives each document its place in memory, in buffers that it makes.
std::vector<corpus_run> mn_corpus::lay_out(const int32_t *n_tokens, const int64_t *sorted, size_t n,
                                           std::vector<ggml_backend_buffer_ptr> &made) const {
    size_t most =
        std::min(most_buffer, ggml_backend_buft_get_max_size(ggml_backend_dev_buffer_type(device)));
    std::vector<corpus_run> added;
    size_t left = 0; // bytes of all documents from i on
    for (size_t i = 0; i < n; i++) {
        left += filled(n_tokens[i]) * vector_bytes();
    }
    size_t at = 0, end = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t length = filled(n_tokens[sorted[i]]);
        size_t size = length * vector_bytes();
        bool same = !added.empty() && added.back().length == length;
        at = same ? at : corpus_align(at, align);
        if (at + size > end) {
            end = std::max(size, std::min(most, left + lengths_rest));
            made.push_back(allocate(end));
            same = false;
            at = 0;
        }
        if (!same) {
            added.push_back({made.back().get(), at, scales.size() + i, 0, length});
        }
        added.back().n++;
        at += size;
        left -= size;
    }
    return added;
}

const corpus_run &mn_corpus::run_of(size_t place) const {
    auto after = std::upper_bound(runs.begin(), runs.end(), place,
                                  [](size_t at, const corpus_run &r) { return at < r.place; });
    return *(after - 1);
}

// Writes the vectors of a document as half floats, and then its first as often as it takes.
// Returns what a score is to be multiplied by, and the length of the longest vector.
static std::pair<float, float> fill_document(const mn_corpus &c, int32_t kind, const uint8_t *in,
                                             int32_t n, int32_t length, ggml_fp16_t *out) {
    size_t row_bytes = maxsim_size(kind, c.dim, 1);
    const float *steps = nullptr;
    if (kind == MN_VECTORS_INT8) {
        row_bytes -= sizeof(float);
        steps = (const float *)(in + row_bytes * n);
    }
    std::vector<float> rows((size_t)n * c.dim);
    for (int32_t t = 0; t < n; t++) {
        decode_row(kind, c.dim, in + t * row_bytes, steps ? steps[t] : 1,
                   rows.data() + (size_t)t * c.dim);
    }
    measure_of m = measure_rows(rows.data(), n, c.dim);
    float scale = corpus_scale(m.largest);
    for (float &x : rows) {
        x *= scale;
    }
    for (int32_t t = 0; t < n; t++) {
        ggml_fp32_to_fp16_row(rows.data() + (size_t)t * c.dim, out + (size_t)t * c.width, c.dim);
    }
    for (int32_t t = n; t < length; t++) {
        memcpy(out + (size_t)t * c.width, out, c.vector_bytes());
    }
    return {1 / scale, m.length};
}

// Fills in the vectors of documents that have places one after another.
void mn_corpus::put(int32_t kind, const uint8_t *base, size_t size, const mn_document *docs,
                    int32_t n, size_t place, float *lengths) {
    if (place + n > scales.size() || kind < MN_VECTORS_F32 || kind > MN_VECTORS_INT8) {
        throw failure(MN_ERR_INVALID, "these documents are of an unknown kind, or have no places");
    }
    std::vector<ggml_fp16_t> out;
    for (int32_t i = 0; i < n;) {
        const corpus_run &run = run_of(place + i);
        int32_t some = (int32_t)std::min<size_t>(n - i, run.place + run.n - (place + i));
        size_t each = (size_t)run.length * width;
        out.assign(some * each, 0);
        for (int32_t j = i; j < i + some; j++) {
            const mn_document &d = docs[j];
            if (d.n_tokens < 1 || filled(d.n_tokens) != run.length || d.offset > size ||
                d.offset % 4 != 0 || maxsim_size(kind, dim, d.n_tokens) > size - d.offset) {
                throw failure(MN_ERR_INVALID, "document " + std::to_string(j) +
                                                  " is not within the memory that was given");
            }
            std::tie(scales[place + j], lengths[j]) = fill_document(
                *this, kind, base + d.offset, d.n_tokens, run.length, out.data() + (j - i) * each);
        }
        copy_to(run.buffer, run.offset + (place + i - run.place) * each * sizeof(ggml_fp16_t), out);
        i += some;
    }
}

// May be called from several threads at once; not every backend's own function may.
void mn_corpus::copy_to(ggml_backend_buffer_t buffer, size_t at,
                        const std::vector<ggml_fp16_t> &data) {
    ggml_context_ptr ctx = corpus_tensors(1, 0);
    ggml_tensor *t = ggml_new_tensor_1d(ctx.get(), GGML_TYPE_F16, (int64_t)data.size());
    corpus_place(t, buffer, at);
    std::lock_guard<std::mutex> lock(copying);
    ggml_backend_tensor_set(t, data.data(), 0, data.size() * sizeof(ggml_fp16_t));
}

namespace mn {

mn_status corpus_new(const mn_corpus_params *p, mn_corpus **out, mn_error *err) {
    return guard(err, [&] {
        auto c = std::make_unique<mn_corpus>();
        c->device = find_device(p->device ? p->device : "");
        c->name = device_name(c->device);
        if (p->dim < 1 || maxsim_size(MN_VECTORS_F32, p->dim, 1) > ((size_t)4 << 16)) {
            throw failure(MN_ERR_INVALID, "vectors of " + std::to_string(p->dim) + " numbers");
        }
        c->dim = p->dim;
        c->width = (int32_t)corpus_align(p->dim, width_step);
        c->chunk_bytes = p->chunk_bytes > 0 ? p->chunk_bytes : default_chunk;
        ggml_backend_buffer_type_t type = ggml_backend_dev_buffer_type(c->device);
        c->align = std::max<size_t>(ggml_backend_buft_get_alignment(type), 128);
        log_capture log;
        c->backend.reset(ggml_backend_dev_init(c->device, nullptr));
        if (!c->backend) {
            throw failure(MN_ERR_INTERNAL, "device " + c->name +
                                               " cannot be used: " + log.reason("no reason given"));
        }
        set_threads(*c, p->n_threads);
        c->find_precision();
        *out = c.release();
    });
}

void corpus_free(mn_corpus *c) { delete c; }

uint64_t corpus_bytes(const mn_corpus *c) { return c->bytes; }

mn_status corpus_extend(mn_corpus *c, const int32_t *n_tokens, int64_t n_docs, int64_t *order,
                        mn_error *err) {
    return guard(err, [&] { c->extend(n_tokens, n_docs, order); });
}

mn_status corpus_put(mn_corpus *c, int32_t kind, const void *base, size_t size,
                     const mn_document *docs, int32_t n_docs, int64_t place, float *lengths,
                     mn_error *err) {
    return guard(err, [&] {
        c->put(kind, (const uint8_t *)base, size, docs, n_docs, (size_t)place, lengths);
    });
}

mn_status corpus_score(mn_corpus *c, const float *vectors, const int32_t *n_tokens,
                       int32_t n_queries, float *scores, mn_error *err) {
    return guard(err, [&] { c->score(vectors, n_tokens, n_queries, scores); });
}

} // namespace mn
