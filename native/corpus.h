// Late interaction on a device of ggml's, a GPU most likely: what corpus.cpp, which keeps documents
// in the device's memory, and corpus_score.cpp, which compares them with queries, share.
//
// Documents lie there as half floats. Each is filled up to a length that it shares with others by
// repeating its first vector, which changes no maximum, so that ggml's pooling finds the maxima of
// all of them. Numbers that half floats do not have are avoided by powers of two, one a document.
#pragma once

#include "facade.h"

#include "ggml-cpp.h"

namespace mn {

// Documents of one filled-up length, one after another in a buffer. All documents have places,
// which are counted over all runs.
struct corpus_run {
    ggml_backend_buffer_t buffer;
    size_t offset; // of the first document in the buffer
    size_t place, n;
    int32_t length; // vectors of each
};

// Documents that are computed at once. Their results are rows from `row` on.
struct corpus_chunk {
    size_t place, n, row;
};

// The work for queries of one shape: `pieces` of queries, with `tokens` vectors each.
struct corpus_graph {
    int32_t tokens, pieces;
    ggml_context_ptr tensors;
    ggml_backend_buffer_ptr memory; // queries, products, maxima and sums
    ggml_backend_buffer_ptr host;   // the sums, where the device writes them
    ggml_cgraph *graph = nullptr;
    ggml_tensor *queries = nullptr, *sums = nullptr;
    std::vector<corpus_chunk> chunks;
};

// A part of a query.
struct corpus_piece {
    int32_t query;
    const float *vectors;
    int32_t n;
};

size_t corpus_align(size_t n, size_t to);                                       // up to a multiple
void corpus_place(ggml_tensor *t, ggml_backend_buffer_t buffer, size_t offset); // throws failure
ggml_context_ptr corpus_tensors(size_t n_tensors, size_t n_nodes);
// 2^-e for what, multiplied by it, is neither too large nor too small for half floats.
float corpus_scale(float largest);

} // namespace mn

struct mn_corpus {
    std::string name; // of the device
    ggml_backend_dev_t device = nullptr;
    ggml_backend_ptr backend;
    int32_t dim = 0, width = 0;              // numbers of a vector, and with those that fill it up
    size_t chunk_bytes = 0;                  // of products
    ggml_prec precision = GGML_PREC_DEFAULT; // with which the device adds up in floats
    size_t align = 0;                        // of what lies in a buffer

    std::vector<ggml_backend_buffer_ptr> buffers;
    std::vector<mn::corpus_run> runs;
    std::vector<float> scales; // of each place: what a score is to be multiplied by
    int32_t longest = 0;
    size_t bytes = 0;
    std::vector<std::unique_ptr<mn::corpus_graph>> graphs; // the last used first

    std::mutex copying; // held for copies to the device

    size_t vector_bytes() const { return (size_t)width * sizeof(ggml_fp16_t); }
    ggml_backend_buffer_type_t host_type() const;
    ggml_backend_buffer_ptr allocate(size_t size) const; // throws failure
    void check_memory(size_t bytes) const;               // throws failure
    void check_support(const ggml_cgraph *graph) const;  // throws failure
    void compute(ggml_cgraph *graph) const;              // throws failure
    void find_precision();
    const mn::corpus_run &run_of(size_t place) const;
    void extend(const int32_t *n_tokens, int64_t n_docs, int64_t *order);
    void put(int32_t kind, const uint8_t *base, size_t size, const mn_document *docs, int32_t n,
             size_t place, float *lengths);
    // out is [queries][places].
    void score(const float *vectors, const int32_t *n_tokens, int32_t n_queries, float *out);

  private:
    std::vector<mn::corpus_run> lay_out(const int32_t *n_tokens, const int64_t *sorted, size_t n,
                                        std::vector<ggml_backend_buffer_ptr> &made) const;
    mn::corpus_graph &graph_for(int32_t tokens, int32_t pieces);
    void copy_to(ggml_backend_buffer_t buffer, size_t at, const std::vector<ggml_fp16_t> &data);
    void score_pieces(const mn::corpus_graph &g, const mn::corpus_piece *pieces, int32_t n,
                      const float *query_scales, float *out) const;
};
