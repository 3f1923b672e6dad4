// Comes in front of llama-model.cpp and llama-context.cpp: contexts for embeddings do no work for
// logits, which nobody can read there.
//
// llama.cpp takes all tokens of such a context for outputs, and a model that generates computes
// their logits: for SmolLM2 a third of the work, and for 4096 tokens of a vocabulary of 150 000 a
// buffer of 2.5 GB, which it fills with zeros even for models without logits.
#ifndef MULLAMA_EMBEDDING_FIXES_H
#define MULLAMA_EMBEDDING_FIXES_H

#include "ggml-backend.h"
#include "llama-graph.h"

#include <initializer_list>
#include <unordered_set>
#include <vector>

using mullama_tensors = std::unordered_set<const ggml_tensor *>;

// What is computed from a tensor, with nodes in the order of their computation.
static inline mullama_tensors mullama_after(const std::vector<ggml_tensor *> &nodes,
                                            const ggml_tensor *from) {
    mullama_tensors found = {from};
    for (const ggml_tensor *node : nodes) {
        for (const ggml_tensor *src : node->src) {
            if (src && found.count(src)) {
                found.insert(node);
            }
        }
    }
    found.erase(from);
    return found;
}

// What tensors are computed from, and these themselves.
static inline mullama_tensors mullama_before(const std::vector<ggml_tensor *> &nodes,
                                             std::initializer_list<const ggml_tensor *> wanted) {
    mullama_tensors found = wanted;
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
        if (found.count(*node)) {
            found.insert(std::begin((*node)->src), std::end((*node)->src));
        }
    }
    return found;
}

// Takes out of a graph for embeddings what is computed from them and leads to the logits alone.
// What writes into caches stays, for nothing else is computed from embeddings.
static inline const llm_graph_params &mullama_without_logits(llm_graph_result *res,
                                                             const llm_graph_params &params) {
    if (!params.cparams.embeddings || !res->t_logits || !res->t_embd) {
        return params;
    }
    ggml_cgraph *graph = res->get_gf();
    std::vector<ggml_tensor *> nodes(ggml_graph_n_nodes(graph));
    std::vector<int32_t> flags(nodes.size()); // some nodes are not to be computed
    for (size_t i = 0; i < nodes.size(); i++) {
        nodes[i] = ggml_graph_node(graph, (int)i);
        flags[i] = nodes[i]->flags;
    }
    mullama_tensors after = mullama_after(nodes, res->t_embd);
    mullama_tensors needed =
        mullama_before(nodes, {res->t_embd, res->t_embd_pooled, res->t_h_nextn});
    ggml_graph_clear(graph);
    for (ggml_tensor *node : nodes) {
        if (!after.count(node) || needed.count(node)) {
            ggml_build_forward_expand(graph, node);
        }
    }
    for (size_t i = 0; i < nodes.size(); i++) {
        nodes[i]->flags = flags[i];
    }
    res->t_logits = nullptr;
    return params;
}
#define set_outputs(params) set_outputs(mullama_without_logits(llm->res, params))

// The one use of it is for the buffer of outputs, which is written before it is read.
#define ggml_backend_buffer_clear(buffer, value) ((void)(buffer))

#endif
