// Go cannot call a C function pointer, so each entry of the table has an inline caller here. Go
// builds this again when the checksum of native/mullama_native.h changes: 65b713f080a9bf8e.
#ifndef MULLAMA_SHIM_H
#define MULLAMA_SHIM_H

#include "mullama_native.h"

// Opens the library at path and asks for its table. On failure returns NULL and sets *reason to a
// static or dlerror-owned text, or to NULL when the library is of another ABI.
const mn_table *shim_open(const char *path, const char **reason);

// The file of the shared library that this code is part of, or NULL if it is the program's own.
const char *shim_file(void);

// The Go functions behind the callbacks.
void shim_log_set(const mn_table *t, int32_t min_level); // min_level 0: off
void shim_use_progress(mn_model_params *p, uintptr_t user);
void shim_use_tensors(mn_quantize_params *p, uintptr_t user);

static inline const char *shim_version(const mn_table *t) { return t->version(); }
static inline const char *shim_system_info(const mn_table *t) { return t->system_info(); }
static inline int32_t shim_device_count(const mn_table *t) { return t->device_count(); }
static inline mn_status shim_device_get(const mn_table *t, int32_t i, mn_device *out,
                                        mn_error *err) {
    return t->device_get(i, out, err);
}
static inline mn_status shim_plugins(const mn_table *t, mn_buf *out, mn_error *err) {
    return t->plugins(out, err);
}
static inline void shim_buf_free(const mn_table *t, mn_buf b) { t->buf_free(b); }

static inline mn_model_params shim_model_defaults(const mn_table *t) {
    return t->model_default_params();
}
static inline mn_status shim_model_load(const mn_table *t, const char *path,
                                        const mn_model_params *p, mn_model **out, mn_error *err) {
    return t->model_load(path, p, out, err);
}
void shim_model_free(const mn_table *t, mn_model *m);
static inline mn_status shim_model_check(const mn_table *t, const mn_model *m, mn_error *err) {
    return t->model_check(m, err);
}
static inline void shim_model_info(const mn_table *t, const mn_model *m, mn_model_info *out) {
    t->model_get_info(m, out);
}
static inline int32_t shim_meta_count(const mn_table *t, const mn_model *m) {
    return t->model_meta_count(m);
}
static inline mn_status shim_meta_get(const mn_table *t, const mn_model *m, int32_t i, mn_buf *key,
                                      mn_buf *value, mn_error *err) {
    return t->model_meta_get(m, i, key, value, err);
}
mn_status shim_memory_plan(const mn_table *t, const char *path, const mn_model_params *mp,
                           const mn_context_params *cp, mn_memory *out, int32_t cap, int32_t *n,
                           mn_error *err);

static inline int32_t shim_tokenize(const mn_table *t, const mn_model *m, const char *text,
                                    size_t len, int32_t add_special, int32_t parse_special,
                                    int32_t *out, int32_t cap) {
    return t->tokenize(m, text, len, add_special, parse_special, out, cap);
}
static inline int64_t shim_detokenize(const mn_table *t, const mn_model *m, const int32_t *tokens,
                                      int32_t n, int32_t special, char *out, size_t cap) {
    return t->detokenize(m, tokens, n, special, out, cap);
}
static inline const char *shim_token_piece(const mn_table *t, const mn_model *m, int32_t token,
                                           int32_t special, int32_t *len) {
    return t->token_piece(m, token, special, len);
}
static inline int32_t shim_token_is_end(const mn_table *t, const mn_model *m, int32_t token) {
    return t->token_is_end(m, token);
}

static inline mn_context_params shim_context_defaults(const mn_table *t) {
    return t->context_default_params();
}
static inline mn_status shim_context_new(const mn_table *t, mn_model *m, const mn_context_params *p,
                                         mn_context **out, mn_error *err) {
    return t->context_new(m, p, out, err);
}
void shim_context_free(const mn_table *t, mn_context *c);
static inline void shim_context_get(const mn_table *t, const mn_context *c, uint32_t *n_ctx,
                                    uint32_t *n_ctx_seq, uint32_t *n_batch, uint32_t *n_ubatch,
                                    uint32_t *n_seq_max, int32_t *device_logits) {
    t->context_get(c, n_ctx, n_ctx_seq, n_batch, n_ubatch, n_seq_max, device_logits);
}
static inline mn_status shim_step(const mn_table *t, mn_context *c, const mn_step_plan *plan,
                                  mn_step_result *out, mn_error *err) {
    return t->step(c, plan, out, err);
}
static inline mn_status shim_sample_logits(const mn_table *t, mn_context *c,
                                           const mn_step_plan *plan, float *logits,
                                           mn_step_result *out, mn_error *err) {
    return t->sample_logits(c, plan, logits, out, err);
}
static inline mn_status shim_embed(const mn_table *t, mn_context *c, const int32_t *tokens,
                                   int32_t n_tokens, const int32_t *lengths, int32_t n_seqs,
                                   const int8_t *unseen, mn_embed_result *out, mn_error *err) {
    mn_embed_plan plan = {n_tokens, tokens, n_seqs, lengths, unseen};
    return t->embed(c, &plan, out, err);
}
static inline void shim_embed_get(const mn_table *t, const mn_context *c, int32_t *pooling_type,
                                  int32_t *width) {
    t->embed_get(c, pooling_type, width);
}
static inline const char *shim_quantize_type(const mn_table *t, int32_t i) {
    return t->quantize_type(i);
}
static inline mn_status shim_quantize(const mn_table *t, const char *path, const char *out,
                                      const mn_quantize_params *p, uint64_t *size, mn_error *err) {
    return t->quantize(path, out, p, size, err);
}

static inline mn_status shim_context_adapt(const mn_table *t, mn_context *c, const float *scales,
                                           int32_t n, mn_error *err) {
    return t->context_adapt(c, scales, n, err);
}
static inline mn_status shim_context_steer(const mn_table *t, mn_context *c, const float *data,
                                           size_t n, int32_t first, int32_t last, mn_error *err) {
    return t->context_steer(c, data, n, first, last, err);
}
static inline void shim_context_abort(const mn_table *t, mn_context *c, int32_t abort) {
    t->context_abort(c, abort);
}
static inline void shim_context_perf(const mn_table *t, mn_context *c, mn_perf *out) {
    t->context_perf(c, out);
}
static inline void shim_context_set_threads(const mn_table *t, mn_context *c, int32_t n,
                                            int32_t n_batch) {
    t->context_set_threads(c, n, n_batch);
}
static inline mn_status shim_context_memory(const mn_table *t, const mn_context *c, mn_memory *out,
                                            int32_t cap, int32_t *n, int32_t *flash_attn,
                                            mn_error *err) {
    return t->context_memory(c, out, cap, n, flash_attn, err);
}

static inline int32_t shim_seq_remove(const mn_table *t, mn_context *c, int32_t seq, int32_t from,
                                      int32_t to) {
    return t->seq_remove(c, seq, from, to);
}
static inline void shim_seq_copy(const mn_table *t, mn_context *c, int32_t src, int32_t dst,
                                 int32_t from, int32_t to) {
    t->seq_copy(c, src, dst, from, to);
}
static inline int32_t shim_seq_shift(const mn_table *t, mn_context *c, int32_t seq, int32_t from,
                                     int32_t to, int32_t delta) {
    return t->seq_shift(c, seq, from, to, delta);
}
static inline void shim_seq_range(const mn_table *t, mn_context *c, int32_t seq, int32_t *min,
                                  int32_t *max) {
    t->seq_range(c, seq, min, max);
}
static inline mn_status shim_seq_save(const mn_table *t, mn_context *c, int32_t seq, mn_buf *out,
                                      mn_error *err) {
    return t->seq_save(c, seq, out, err);
}
static inline mn_status shim_seq_restore(const mn_table *t, mn_context *c, int32_t seq,
                                         const char *data, size_t len, mn_error *err) {
    return t->seq_restore(c, seq, data, len, err);
}

static inline mn_sampler_params shim_sampler_defaults(const mn_table *t) {
    return t->sampler_default_params();
}
static inline mn_status shim_sampler_new(const mn_table *t, const mn_model *m,
                                         const mn_sampler_params *p, mn_sampler **out,
                                         mn_error *err) {
    return t->sampler_new(m, p, out, err);
}
static inline void shim_sampler_free(const mn_table *t, mn_sampler *s) { t->sampler_free(s); }
static inline void shim_sampler_prime(const mn_table *t, mn_sampler *s, const int32_t *tokens,
                                      int32_t n) {
    t->sampler_prime(s, tokens, n);
}
static inline uint32_t shim_sampler_seed(const mn_table *t, const mn_sampler *s) {
    return t->sampler_seed(s);
}
static inline mn_status shim_sampler_describe(const mn_table *t, const mn_sampler *s, mn_buf *out,
                                              mn_error *err) {
    return t->sampler_describe(s, out, err);
}

static inline mn_status shim_chat_new(const mn_table *t, const mn_model *m, const char *source,
                                      size_t len, mn_chat **out, mn_error *err) {
    return t->chat_new(m, source, len, out, err);
}
static inline void shim_chat_free(const mn_table *t, mn_chat *c) { t->chat_free(c); }
static inline mn_status shim_chat_source(const mn_table *t, const mn_chat *c, mn_buf *out,
                                         mn_error *err) {
    return t->chat_source(c, out, err);
}
static inline mn_status shim_chat_caps(const mn_table *t, const mn_chat *c, mn_buf *out,
                                       mn_error *err) {
    return t->chat_caps(c, out, err);
}
static inline mn_status shim_chat_apply(const mn_table *t, const mn_chat *c, const char *request,
                                        size_t len, mn_buf *reply, mn_buf *tokens, mn_error *err) {
    return t->chat_apply(c, request, len, reply, tokens, err);
}
static inline mn_status shim_schema_to_grammar(const mn_table *t, const char *schema, size_t len,
                                               mn_buf *out, mn_error *err) {
    return t->schema_to_grammar(schema, len, out, err);
}

static inline mn_status shim_rpc_devices(const mn_table *t, const char *address, mn_device *out,
                                         int32_t cap, int32_t *n, mn_error *err) {
    return t->rpc_devices(address, out, cap, n, err);
}
static inline mn_status shim_rpc_serve(const mn_table *t, const char *address,
                                       const char *cache_dir, int32_t n_threads,
                                       const char *const *devices, int32_t n_devices,
                                       mn_error *err) {
    return t->rpc_serve(address, cache_dir, n_threads, devices, n_devices, err);
}

static inline const char *shim_maxsim_kernel_name(const mn_table *t, int32_t i) {
    return t->maxsim_kernel_name(i);
}
static inline size_t shim_maxsim_size(const mn_table *t, int32_t kind, int32_t dim, int32_t n) {
    return t->maxsim_size(kind, dim, n);
}
static inline mn_status shim_maxsim_encode(const mn_table *t, int32_t kind, int32_t dim,
                                           const float *in, int32_t n, void *out, mn_error *err) {
    return t->maxsim_encode(kind, dim, in, n, out, err);
}
static inline mn_status shim_maxsim_decode(const mn_table *t, int32_t kind, int32_t dim,
                                           const void *in, int32_t n, float *out, mn_error *err) {
    return t->maxsim_decode(kind, dim, in, n, out, err);
}
static inline mn_status shim_maxsim_new(const mn_table *t, const mn_queries_params *p,
                                        mn_queries **out, mn_error *err) {
    return t->maxsim_new(p, out, err);
}
static inline void shim_maxsim_free(const mn_table *t, mn_queries *q) { t->maxsim_free(q); }
static inline mn_status shim_maxsim_score(const mn_table *t, const mn_queries *q, const void *base,
                                          size_t size, const mn_document *docs, int32_t n_docs,
                                          float *scores, mn_error *err) {
    return t->maxsim_score(q, base, size, docs, n_docs, scores, err);
}
static inline int64_t shim_maxsim_lanes(const mn_table *t, const mn_queries *q) {
    return t->maxsim_lanes(q);
}
static inline mn_status shim_maxsim_dots(const mn_table *t, const mn_queries *q, const float *rows,
                                         int32_t n, float *out, mn_error *err) {
    return t->maxsim_dots(q, rows, n, out, err);
}
static inline mn_status shim_maxsim_nearest(const mn_table *t, const mn_queries *q,
                                            const float *rows, int32_t n, int32_t *out,
                                            mn_error *err) {
    return t->maxsim_nearest(q, rows, n, out, err);
}

static inline mn_status shim_corpus_new(const mn_table *t, const mn_corpus_params *p,
                                        mn_corpus **out, mn_error *err) {
    return t->corpus_new(p, out, err);
}
static inline void shim_corpus_free(const mn_table *t, mn_corpus *c) { t->corpus_free(c); }
static inline uint64_t shim_corpus_bytes(const mn_table *t, const mn_corpus *c) {
    return t->corpus_bytes(c);
}
static inline mn_status shim_corpus_extend(const mn_table *t, mn_corpus *c, const int32_t *n_tokens,
                                           int64_t n_docs, int64_t *order, mn_error *err) {
    return t->corpus_extend(c, n_tokens, n_docs, order, err);
}
static inline mn_status shim_corpus_put(const mn_table *t, mn_corpus *c, int32_t kind,
                                        const void *base, size_t size, const mn_document *docs,
                                        int32_t n_docs, int64_t place, float *lengths,
                                        mn_error *err) {
    return t->corpus_put(c, kind, base, size, docs, n_docs, place, lengths, err);
}
static inline mn_status shim_corpus_score(const mn_table *t, mn_corpus *c, const float *vectors,
                                          const int32_t *n_tokens, int32_t n_queries, float *scores,
                                          mn_error *err) {
    return t->corpus_score(c, vectors, n_tokens, n_queries, scores, err);
}

#endif
