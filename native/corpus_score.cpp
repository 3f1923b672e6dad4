// Comparing queries with the documents that lie on a device: one graph for all of them, in chunks
// whose products stay in the device's cache until their maxima are taken.
#include "corpus.h"

#include <cmath>

namespace mn {

namespace {

// A query is cut into pieces of so many vectors, whose scores the host adds up. A pass computes
// several pieces, of one or more queries.
constexpr int32_t most_tokens = 32;
constexpr int32_t tokens_step = 8;
constexpr int32_t most_pieces = 16;

// Maxima are summed up when there are so many bytes of them.
constexpr size_t group_bytes = (size_t)32 << 20;

// With long documents there are fewer pieces, so that products take no more than this.
constexpr size_t most_products = (size_t)256 << 20;

// GPUs pool with a thread for each result, so first few values each, and then their maxima.
constexpr int32_t pooled_first = 16;

constexpr size_t most_graphs = 4;

// The largest of every n rows.
ggml_tensor *pool_rows(ggml_context *ctx, ggml_tensor *t, int32_t n) {
    return ggml_pool_2d(ctx, t, GGML_OP_POOL_MAX, 1, n, 1, n, 0, 0);
}

// Builds a graph: first plan() for the chunks and the memory, then build().
class builder {
  public:
    builder(const mn_corpus &c, corpus_graph &g)
        : c_(c), g_(g), columns_((int64_t)g.tokens * g.pieces), row_bytes_(columns_ * 4),
          row_step_(c.align / sizeof(float)) {}

    void plan();
    void allocate();
    void build();

  private:
    size_t offset_of_sum(size_t row) const { return sums_at_ + row * g_.pieces * sizeof(float); }
    void build_chunk(const corpus_chunk &chunk, size_t group_row);
    void build_sums(size_t from, size_t to);
    ggml_tensor *placed(ggml_tensor *t, size_t at);
    ggml_tensor *viewed(ggml_tensor *t);

    const mn_corpus &c_;
    corpus_graph &g_;
    int64_t columns_;
    size_t row_bytes_, row_step_;
    size_t products_ = 0, pooled_ = 0, maxima_ = 0; // bytes
    size_t products_at_ = 0, pooled_at_ = 0, maxima_at_ = 0, sums_at_ = 0, end_ = 0;
    size_t rows_ = 0;
    std::vector<size_t> groups_; // the first chunk of each
};

void builder::plan() {
    size_t most_vectors = std::max<size_t>(c_.chunk_bytes / row_bytes_, c_.longest);
    size_t group_rows = 0;
    for (const corpus_run &run : c_.runs) {
        size_t most = most_vectors / run.length;
        most = most > row_step_ ? most / row_step_ * row_step_ : most;
        for (size_t at = 0; at < run.n; at += most) {
            size_t n = std::min(most, run.n - at);
            size_t rows = corpus_align(n, row_step_);
            if (groups_.empty() || (group_rows + rows) * row_bytes_ > group_bytes) {
                groups_.push_back(g_.chunks.size());
                group_rows = 0;
            }
            g_.chunks.push_back({run.place + at, n, rows_});
            rows_ += rows;
            group_rows += rows;
            maxima_ = std::max(maxima_, group_rows * row_bytes_);
            products_ = std::max(products_, n * run.length * row_bytes_);
        }
    }
    pooled_ = products_ / pooled_first;
}

void builder::allocate() {
    size_t queries = columns_ * c_.vector_bytes();
    products_at_ = corpus_align(queries, c_.align);
    pooled_at_ = corpus_align(products_at_ + products_, c_.align);
    maxima_at_ = corpus_align(pooled_at_ + pooled_, c_.align);
    sums_at_ = corpus_align(maxima_at_ + maxima_, c_.align);
    size_t sums = rows_ * g_.pieces * sizeof(float);
    g_.memory = c_.allocate(corpus_align(sums_at_ + sums, c_.align));
    g_.host.reset(ggml_backend_buft_alloc_buffer(c_.host_type(), sums));
    if (!g_.host) {
        throw std::bad_alloc();
    }
}

ggml_tensor *builder::placed(ggml_tensor *t, size_t at) {
    corpus_place(t, g_.memory.get(), at);
    return t;
}

ggml_tensor *builder::viewed(ggml_tensor *t) {
    if (ggml_backend_view_init(t) != GGML_STATUS_SUCCESS) {
        throw failure(MN_ERR_INTERNAL, "device " + c_.name + " cannot look at a tensor anew");
    }
    return t;
}

void builder::build() {
    size_t n_chunks = g_.chunks.size();
    size_t nodes = 6 * n_chunks + groups_.size() + 8;
    g_.tensors = corpus_tensors(nodes + n_chunks + 2 * groups_.size() + 2, nodes);
    ggml_context *ctx = g_.tensors.get();
    g_.graph = ggml_new_graph_custom(ctx, nodes, false);
    g_.queries = placed(ggml_new_tensor_2d(ctx, GGML_TYPE_F16, c_.width, columns_), 0);
    int64_t n_sums = (int64_t)rows_ * g_.pieces;
    g_.sums = placed(ggml_new_tensor_1d(ctx, GGML_TYPE_F32, n_sums), sums_at_);
    for (size_t i = 0; i < groups_.size(); i++) {
        size_t end = i + 1 < groups_.size() ? groups_[i + 1] : n_chunks;
        size_t first_row = g_.chunks[groups_[i]].row;
        for (size_t j = groups_[i]; j < end; j++) {
            build_chunk(g_.chunks[j], first_row);
        }
        build_sums(first_row, end < n_chunks ? g_.chunks[end].row : rows_);
    }
}

// Adds the maxima of a chunk's documents: [columns][documents].
void builder::build_chunk(const corpus_chunk &chunk, size_t group_row) {
    ggml_context *ctx = g_.tensors.get();
    const corpus_run &run = c_.run_of(chunk.place);
    auto n = (int64_t)chunk.n;
    ggml_tensor *vectors = ggml_new_tensor_2d(ctx, GGML_TYPE_F16, c_.width, n * run.length);
    corpus_place(vectors, run.buffer,
                 run.offset + (chunk.place - run.place) * run.length * c_.vector_bytes());
    ggml_tensor *t = placed(ggml_mul_mat(ctx, g_.queries, vectors), products_at_);
    ggml_mul_mat_set_prec(t, c_.precision);
    int32_t length = run.length;
    if (length > pooled_first) {
        length /= pooled_first;
        t = viewed(ggml_reshape_3d(ctx, t, columns_, pooled_first, n * length));
        t = placed(pool_rows(ctx, t, pooled_first), pooled_at_);
    }
    t = viewed(ggml_reshape_3d(ctx, t, columns_, length, n));
    t = placed(pool_rows(ctx, t, length), maxima_at_ + (chunk.row - group_row) * row_bytes_);
    ggml_build_forward_expand(g_.graph, t);
}

// Adds the sums over the vectors of each piece. The graph's order alone says that they come after
// the maxima; those lie at the same addresses.
void builder::build_sums(size_t from, size_t to) {
    ggml_context *ctx = g_.tensors.get();
    auto n = (int64_t)(to - from);
    ggml_tensor *maxima = ggml_new_tensor_3d(ctx, GGML_TYPE_F32, g_.tokens, g_.pieces, n);
    placed(maxima, maxima_at_);
    ggml_tensor *sums = placed(ggml_sum_rows(ctx, maxima), offset_of_sum(from));
    ggml_build_forward_expand(g_.graph, sums);
}

// Largest number of each query, as a power of two to multiply it by.
std::vector<float> scales_of(const float *vectors, const int32_t *n_tokens, int32_t n_queries,
                             int32_t dim) {
    std::vector<float> scales;
    for (int32_t i = 0; i < n_queries; i++) {
        float largest = 0;
        for (const float *end = vectors + (size_t)n_tokens[i] * dim; vectors < end; vectors++) {
            largest = std::max(largest, std::fabs(*vectors));
        }
        scales.push_back(corpus_scale(largest));
    }
    return scales;
}

std::vector<corpus_piece> cut(const float *vectors, const int32_t *n_tokens, int32_t n_queries,
                              int32_t dim, int32_t tokens) {
    std::vector<corpus_piece> pieces;
    for (int32_t i = 0; i < n_queries; i++) {
        for (int32_t at = 0; at < n_tokens[i]; at += tokens) {
            int32_t n = std::min(tokens, n_tokens[i] - at);
            pieces.push_back({i, vectors, n});
            vectors += (size_t)n * dim;
        }
    }
    return pieces;
}

} // namespace

} // namespace mn

using namespace mn;

void mn_corpus::check_support(const ggml_cgraph *graph) const {
    auto *g = const_cast<ggml_cgraph *>(graph);
    for (int32_t i = 0; i < ggml_graph_n_nodes(g); i++) {
        ggml_tensor *node = ggml_graph_node(g, i);
        if (!ggml_backend_supports_op(backend.get(), node)) {
            throw failure(MN_ERR_UNSUPPORTED, "device " + name + " cannot search: it does not " +
                                                  "compute " + ggml_op_desc(node));
        }
    }
}

void mn_corpus::compute(ggml_cgraph *graph) const {
    log_capture log;
    ggml_status status = ggml_backend_graph_compute(backend.get(), graph);
    if (status != GGML_STATUS_SUCCESS) {
        throw failure(status == GGML_STATUS_ALLOC_FAILED ? MN_ERR_MEMORY : MN_ERR_INTERNAL,
                      "device " + name +
                          " did not finish: " + log.reason(ggml_status_to_string(status)));
    }
}

// Half floats may be multiplied in ways that add up in half floats, too. Which precision to ask for
// so that a device does not is tried: 2048 is the first of them that 1 cannot be added to.
void mn_corpus::find_precision() {
    constexpr int64_t numbers = 64, columns = 8, rows = 32;
    const size_t query_bytes = corpus_align(numbers * columns * 2, align);
    const size_t row_bytes = corpus_align(numbers * rows * 2, align);
    std::vector<ggml_fp16_t> one(numbers * rows, ggml_fp32_to_fp16(1)), large = one;
    for (int64_t i = 0; i < rows; i++) {
        large[i * numbers] = ggml_fp32_to_fp16(2048);
    }
    ggml_backend_buffer_ptr memory = allocate(query_bytes + row_bytes + rows * columns * 4);
    for (ggml_prec each : {GGML_PREC_DEFAULT, GGML_PREC_F32}) {
        ggml_context_ptr ctx = corpus_tensors(3, 8);
        ggml_tensor *a = ggml_new_tensor_2d(ctx.get(), GGML_TYPE_F16, numbers, columns);
        ggml_tensor *b = ggml_new_tensor_2d(ctx.get(), GGML_TYPE_F16, numbers, rows);
        ggml_tensor *out = ggml_mul_mat(ctx.get(), a, b);
        ggml_mul_mat_set_prec(out, each);
        corpus_place(a, memory.get(), 0);
        corpus_place(b, memory.get(), query_bytes);
        corpus_place(out, memory.get(), query_bytes + row_bytes);
        ggml_cgraph *graph = ggml_new_graph_custom(ctx.get(), 8, false);
        ggml_build_forward_expand(graph, out);
        check_support(graph);
        ggml_backend_tensor_set(a, one.data(), 0, ggml_nbytes(a));
        ggml_backend_tensor_set(b, large.data(), 0, ggml_nbytes(b));
        compute(graph);
        std::vector<float> got(rows * columns);
        ggml_backend_tensor_get(out, got.data(), 0, ggml_nbytes(out));
        if (std::all_of(got.begin(), got.end(), [](float f) { return f == 2048 + numbers - 1; })) {
            precision = each;
            return;
        }
    }
    throw failure(MN_ERR_UNSUPPORTED,
                  "device " + name + " cannot search: it adds up in half floats");
}

corpus_graph &mn_corpus::graph_for(int32_t tokens, int32_t pieces) {
    auto found = std::find_if(graphs.begin(), graphs.end(),
                              [&](auto &g) { return g->tokens == tokens && g->pieces == pieces; });
    if (found != graphs.end()) {
        std::rotate(graphs.begin(), found, found + 1);
        return *graphs.front();
    }
    while (graphs.size() >= most_graphs) {
        graphs.pop_back();
    }
    auto g = std::make_unique<corpus_graph>();
    g->tokens = tokens;
    g->pieces = pieces;
    builder b(*this, *g);
    b.plan();
    b.allocate();
    b.build();
    check_support(g->graph);
    graphs.insert(graphs.begin(), std::move(g));
    return *graphs.front();
}

void mn_corpus::score(const float *vectors, const int32_t *n_tokens, int32_t n_queries,
                      float *out) {
    std::fill(out, out + (size_t)n_queries * scales.size(), 0.0F);
    if (scales.empty() || n_queries < 1) {
        return;
    }
    int32_t tokens = std::min(*std::max_element(n_tokens, n_tokens + n_queries), most_tokens);
    tokens = (int32_t)corpus_align(tokens, tokens_step);
    std::vector<float> query_scales = scales_of(vectors, n_tokens, n_queries, dim);
    std::vector<corpus_piece> pieces = cut(vectors, n_tokens, n_queries, dim, tokens);
    int32_t most = most_pieces;
    while (most > 1 && (size_t)longest * tokens * most * sizeof(float) > most_products) {
        most /= 2;
    }
    for (size_t at = 0; at < pieces.size();) {
        int32_t n = (int32_t)std::min<size_t>(most, pieces.size() - at);
        int32_t room = 1; // powers of two, so that there are few graphs
        while (room < n) {
            room *= 2;
        }
        corpus_graph &g = graph_for(tokens, room);
        score_pieces(g, pieces.data() + at, n, query_scales.data(), out);
        at += n;
    }
}

void mn_corpus::score_pieces(const corpus_graph &g, const corpus_piece *pieces, int32_t n,
                             const float *query_scales, float *out) const {
    std::vector<ggml_fp16_t> packed((size_t)g.tokens * g.pieces * width); // zeros add nothing
    std::vector<float> row(dim);
    for (int32_t i = 0; i < n; i++) {
        for (int32_t t = 0; t < pieces[i].n; t++) {
            const float *in = pieces[i].vectors + (size_t)t * dim;
            float scale = query_scales[pieces[i].query];
            std::transform(in, in + dim, row.begin(), [&](float x) { return x * scale; });
            size_t at = (size_t)i * g.tokens + t;
            ggml_fp32_to_fp16_row(row.data(), packed.data() + at * width, dim);
        }
    }
    ggml_backend_tensor_set(g.queries, packed.data(), 0, ggml_nbytes(g.queries));
    compute(g.graph);
    auto *sums = (float *)ggml_backend_buffer_get_base(g.host.get());
    ggml_backend_tensor_get(g.sums, sums, 0, ggml_nbytes(g.sums));
    for (const corpus_chunk &c : g.chunks) {
        for (int32_t i = 0; i < n; i++) {
            float scale = 1 / query_scales[pieces[i].query];
            float *to = out + (size_t)pieces[i].query * scales.size() + c.place;
            const float *from = sums + c.row * g.pieces + i;
            for (size_t j = 0; j < c.n; j++) {
                to[j] += from[j * g.pieces] * scales[c.place + j] * scale;
            }
        }
    }
}
