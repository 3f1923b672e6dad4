// The contract between Go (internal/llama) and the native library, libmullama-native.
//
// The library exports one symbol, mullama_native_table. Given the ABI number of this header it
// returns a table of functions, or NULL when it was built for another number. No type of llama.cpp
// appears here, so Go builds without llama.cpp's sources.
//
// Conventions
//   errors     Functions that can fail return an mn_status and fill *err (never NULL) when it is
//              not MN_OK. C++ exceptions end at this border; nothing is thrown to the caller.
//   ownership  A handle from a *_load or *_new function belongs to the caller and is given back
//              with the matching *_free. The contents of an mn_buf are given back with buf_free.
//              Contexts, samplers and chat templates must be freed before their model.
//   text       Byte ranges (pointer and length), UTF-8 by convention and never zero-terminated,
//              unless a parameter is a plain `const char *`, which is zero-terminated.
//   threads    Models may be used from any thread at once. Everything that takes a context, and the
//              samplers used in its step, from one thread at a time; context_abort from any thread.
#ifndef MULLAMA_NATIVE_H
#define MULLAMA_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mn_model mn_model;
typedef struct mn_context mn_context;
typedef struct mn_sampler mn_sampler;
typedef struct mn_chat mn_chat;
typedef struct mn_queries mn_queries;
typedef struct mn_corpus mn_corpus;

typedef enum {
    MN_OK = 0,
    MN_ERR_INVALID = 1,     // an argument is out of range or contradicts another
    MN_ERR_LOAD = 2,        // the file is not a model this engine can load
    MN_ERR_MEMORY = 3,      // an allocation was refused
    MN_ERR_CANCELLED = 4,   // the progress callback or the abort flag asked to stop
    MN_ERR_FULL = 5,        // no free cells in the KV cache for this step
    MN_ERR_UNSUPPORTED = 6, // this model or build cannot do it
    MN_ERR_TEMPLATE = 7,    // the chat template does not parse or does not render
    MN_ERR_GRAMMAR = 8,     // the grammar does not parse
    MN_ERR_INTERNAL = 9,    // llama.cpp failed in a way that is not the caller's doing
    MN_ERR_LOST = 10        // a machine that the model is on cannot be reached, or went away
} mn_status;

typedef struct {
    char message[1024]; // one sentence, zero-terminated, valid UTF-8
} mn_error;

// Bytes owned by the library; release with buf_free. data may be NULL when size is 0.
typedef struct {
    char *data;
    size_t size;
} mn_buf;

// level: 1 debug, 2 info, 3 warning, 4 error. text is one line without its newline. May be called
// from any thread.
typedef void (*mn_log_fn)(int32_t level, const char *text, size_t len, uintptr_t user);

// fraction runs from 0 to 1. Returning 0 cancels the load.
typedef int32_t (*mn_progress_fn)(float fraction, uintptr_t user);

typedef struct {
    char name[64];         // "CPU", "CUDA0"
    char description[128]; // "NVIDIA H100 80GB HBM3"
    int32_t kind;          // 0 CPU, 1 GPU, 2 integrated GPU, 3 accelerator
    uint64_t memory_total; // bytes; 0 when unknown
    uint64_t memory_free;  // bytes; 0 when unknown
} mn_device;

typedef struct {
    int32_t gpu_layers; // -1 all
    int32_t split_mode; // 0 none, 1 layer, 2 row, 3 tensor
    int32_t main_gpu;
    int32_t
        load_mode; // -1 automatic, 0 read, 1 mmap, 2 read and lock, 3 mmap and lock, 4 direct I/O
    int32_t vocab_only;
    int32_t check_tensors;
    int32_t use_extra_bufts; // repack weights for this CPU where that is faster
    int32_t no_host;
    const char *const *devices; // names to offload to; NULL: all
    int32_t n_devices;
    const char *const *rpc; // other machines to offload to first, as IPv4 address:port
    int32_t n_rpc;
    const float *tensor_split; // a share per device; NULL: by free memory
    int32_t n_tensor_split;
    const char *const *overrides; // "key=type:value", type one of int, float, bool, str
    int32_t n_overrides;
    const char *const *tensor_bufts; // "regex=buffer type name", for tensors to keep elsewhere
    int32_t n_tensor_bufts;
    const char *const *adapters; // paths of LoRA adapters, whose headers have been checked
    int32_t n_adapters;
    mn_progress_fn progress; // may be NULL
    uintptr_t progress_user;
} mn_model_params;

typedef struct {
    char architecture[64];
    char description[128]; // "llama 135M Q4_1"
    char file_type[64];    // quantisation, "Q4_K - Medium"
    uint64_t n_params;
    uint64_t size; // bytes of all tensors
    int32_t n_ctx_train;
    int32_t n_embd;
    int32_t n_layer;
    int32_t n_head;
    int32_t n_head_kv;
    int32_t n_swa; // sliding window in tokens, 0 none
    int32_t n_vocab;
    int32_t vocab_type;                                           // 0 none, else llama.cpp's number
    int32_t token_bos, token_eos, token_eot, token_nl, token_pad; // -1 none
    int32_t token_fim_pre, token_fim_suf, token_fim_mid;          // -1 none
    int32_t token_sep;                                            // -1 none
    int32_t add_bos, add_eos, add_sep;
    int32_t has_encoder, has_decoder;
    int32_t recurrent, hybrid;
    int32_t generates;    // it has logits to sample from, one token after the other
    int32_t causal;       // tokens look back only
    int32_t pooling_type; // -1 the file does not say, else as in mn_context_params
    int32_t n_embd_out;   // length of an embedding
    int32_t n_cls_out;    // scores of its classification head; 0: it has none
    int32_t n_pos;        // most tokens of a text for which it has positions; 0: no limit
} mn_model_info;

typedef struct {
    uint32_t n_ctx;    // cells of the KV cache over all sequences; 0: the model's training length
    uint32_t n_batch;  // most tokens in one step
    uint32_t n_ubatch; // most tokens computed at once
    uint32_t n_seq_max;
    int32_t n_threads, n_threads_batch;
    int32_t rope_scaling_type;             // -1 model's, 0 none, 1 linear, 2 yarn, 3 longrope
    float rope_freq_base, rope_freq_scale; // 0: model's
    float yarn_ext_factor;                 // negative: model's
    float yarn_attn_factor, yarn_beta_fast, yarn_beta_slow;
    uint32_t yarn_orig_ctx;
    int32_t pooling_type;   // -1 model's, 0 none, 1 mean, 2 cls, 3 last, 4 rank
    int32_t attention_type; // -1 model's, 0 causal, 1 not causal
    int32_t flash_attn;     // -1 automatic, 0 off, 1 on
    const char *type_k;     // "f16", "q8_0", …; NULL: f16
    const char *type_v;
    int32_t embeddings, offload_kqv, op_offload, swa_full, kv_unified;
    // Logits stay on the device that computes them, and a step fetches what sampling needs: -1 if
    // that is a GPU, 0 never, 1 on CPUs too (for tests).
    int32_t device_logits;
} mn_context_params;

// How quantize is getting on. Returning 0 ends it after the tensor at hand.
typedef int32_t (*mn_tensors_fn)(int32_t done, int32_t all, uintptr_t user);

typedef struct {
    const char *type;           // "Q4_K_M" and the like, or "COPY"
    int32_t n_threads;          // 0: one per core
    int32_t requantize;         // 1: tensors that are quantised already too
    int32_t leave_output;       // 1: output.weight stays as it is
    int32_t pure;               // 1: all tensors get the type, and none a better one
    const char *output_type;    // of output.weight: a type of tensors, "q8_0"; NULL: by the type
    const char *embedding_type; // of the table of tokens
    const char *imatrix;        // path of an importance matrix; NULL: none
    mn_tensors_fn progress;     // may be NULL
    uintptr_t progress_user;
} mn_quantize_params;

typedef struct {
    uint64_t total, free;             // bytes the device has; 0 when unknown
    uint64_t model, context, compute; // bytes this load would take there
    char device[64];
} mn_memory;

typedef struct {
    uint32_t seed;     // 0xFFFFFFFF: a random one
    float temperature; // <= 0: greedy
    int32_t top_k;     // <= 0: off
    float top_p, min_p, typical_p;
    float top_n_sigma; // < 0: off
    float xtc_probability, xtc_threshold;
    float dynatemp_range, dynatemp_exponent;
    int32_t repeat_last_n; // 0: off, -1: context
    float repeat_penalty, frequency_penalty, presence_penalty;
    float dry_multiplier, dry_base;
    int32_t dry_allowed_length, dry_penalty_last_n;
    const char *const *dry_breakers; // NULL: llama.cpp's
    int32_t n_dry_breakers;
    int32_t mirostat; // 0 off, 1, 2
    float mirostat_tau, mirostat_eta;
    float adaptive_target, adaptive_decay; // target < 0: off
    int32_t min_keep;
    const char *const *order; // sampler names in order; NULL: llama.cpp's
    int32_t n_order;
    const int32_t *bias_tokens; // logit biases; -INFINITY bans
    const float *bias_values;
    int32_t n_bias;
    int32_t ignore_eos;  // end-of-generation tokens are never sampled
    const char *grammar; // GBNF with a rule named root; NULL: none
    size_t grammar_len;
    int32_t reference; // 1: llama.cpp's chain does everything; the tests compare with it
} mn_sampler_params;

// One step for many sequences. Token i is decoded at positions[i] of sequence seqs[i]. Row r is the
// token at index rows[r]: its logits are computed and samplers[r] picks and accepts the next token.
//
// A step has up to MN_ROWS_LEAST rows, or one for each sequence if those are more. Where logits do
// not stay on a device, a sequence may have several. If rows for neighbouring tokens of a sequence
// follow one another with the same sampler, all but the first are drafts: such a row is skipped,
// with token -1 and no error, if the row before picked another token than the one decoded there,
// picked one that ends generation, or was skipped.
#define MN_ROWS_LEAST 64
typedef struct {
    int32_t n_tokens;
    const int32_t *tokens;
    const int32_t *positions;
    const int32_t *seqs;
    int32_t n_rows;
    const int32_t *rows;
    mn_sampler *const *samplers;
    const int32_t
        *top_logprobs; // per row: -1 none, 0 the sampled token only, n the n likeliest too
} mn_step_plan;

typedef struct {
    int32_t token;     // -1: none
    int32_t end;       // 1 when the token ends generation
    const char *piece; // its bytes, owned by the model
    int32_t piece_len;
    int32_t n_top;     // entries of this row in mn_step_result.top
    float logprob;     // natural log of its probability before sampling; 0 if not asked for
    const char *error; // NULL, or why this row has no token; owned by the context
} mn_step_row;

typedef struct {
    int32_t token;
    float logprob;
    const char *piece; // owned by the model
    int32_t piece_len;
} mn_top_token;

typedef struct {
    mn_step_row *rows; // n_rows entries in the plan's order, owned by the context
    mn_top_token *top; // the rows' top lists one after the other, owned by the context
    int64_t decode_us; // time inside llama_decode, with the wait for its results
    int64_t sample_us;
} mn_step_result; // valid until the next step of this context

// One batch of embeddings. The sequences' tokens lie one after the other; sequence s has lengths[s]
// of them.
typedef struct {
    int32_t n_tokens; // of all sequences
    const int32_t *tokens;
    int32_t n_seqs;
    const int32_t *lengths;
    // NULL, or for each token: 1, no token pays attention to it. Not for models with a KV cache.
    const int8_t *unseen;
} mn_embed_plan;

typedef struct {
    const float *rows; // n_rows of width numbers, owned by the context
    int32_t n_rows;    // one for each sequence; for pooling none, one for each token
    int32_t width;
    int64_t compute_us;
} mn_embed_result; // valid until the next call of embed with this context

typedef struct {
    int64_t prompt_us, eval_us, load_us; // llama.cpp's own counters
    int32_t n_prompt, n_eval, n_reused;
} mn_perf;

// How the vectors of documents are kept. Numbers are little-endian.
typedef enum {
    MN_VECTORS_F32 = 0,
    MN_VECTORS_F16 = 1,
    // A byte for each number, 128 more than what it is in steps of the vector's scale, and 128s up
    // to a multiple of 4; after those of all tokens of a document a float for each: its scale.
    MN_VECTORS_INT8 = 2
} mn_vectors;

typedef struct {
    uint64_t offset; // of its vectors, in bytes
    int32_t n_tokens;
} mn_document;

typedef struct {
    int32_t kind; // one of mn_vectors: of the documents
    int32_t dim;
    const char *kernel;      // NULL: the best
    const float *vectors;    // of all queries, one after the other
    const int32_t *n_tokens; // of each query
    int32_t n_queries;
} mn_queries_params;

typedef struct {
    const char *device; // by name
    int32_t dim;
    int32_t n_threads;    // of a device that computes with threads; 0: as it likes
    uint64_t chunk_bytes; // of products that are to stay in the device's cache; 0: a usual size
} mn_corpus_params;

typedef struct {
    uint32_t abi;
    uint32_t size; // sizeof(mn_table) of the library

    // library
    const char *(*version)(void);     // "llama.cpp 0.6.0-dev …", static
    const char *(*system_info)(void); // CPU features in use, static
    int32_t (*device_count)(void);
    mn_status (*device_get)(int32_t index, mn_device *out, mn_error *err);
    void (*log_set)(mn_log_fn fn, uintptr_t user, int32_t min_level); // NULL: silence
    void (*buf_free)(mn_buf buf);
    // The plug-ins for devices that lie beside the library, a line for each: its name ("cuda"), the
    // number of devices it offers, and why it offers none or "", with tabs between.
    mn_status (*plugins)(mn_buf *out, mn_error *err);

    // model
    mn_model_params (*model_default_params)(void);
    mn_status (*model_load)(const char *path, const mn_model_params *params, mn_model **out,
                            mn_error *err);
    void (*model_free)(mn_model *model);
    // MN_ERR_LOST when a machine that the model is on went away: it can only be freed.
    mn_status (*model_check)(const mn_model *model, mn_error *err);
    void (*model_get_info)(const mn_model *model, mn_model_info *out);
    int32_t (*model_meta_count)(const mn_model *model);
    mn_status (*model_meta_get)(const mn_model *model, int32_t index, mn_buf *key, mn_buf *value,
                                mn_error *err);
    // Memory a load with these parameters would take, by llama.cpp's dry run. At most cap entries
    // are written; *n is their number.
    mn_status (*memory_plan)(const char *path, const mn_model_params *mp,
                             const mn_context_params *cp, mn_memory *out, int32_t cap, int32_t *n,
                             mn_error *err);

    // vocabulary. tokenize writes at most cap tokens and returns their number, or the negated
    // number that would be needed. add_special adds BOS/EOS as the model asks; parse_special turns
    // the text of control tokens into those tokens.
    int32_t (*tokenize)(const mn_model *model, const char *text, size_t len, int32_t add_special,
                        int32_t parse_special, int32_t *out, int32_t cap);
    // The bytes of tokens joined, control tokens as text if special is 1. Returns the length, or
    // the negated length that would be needed. An id outside the vocabulary has no bytes.
    int64_t (*detokenize)(const mn_model *model, const int32_t *tokens, int32_t n, int32_t special,
                          char *out, size_t cap);
    // The bytes of one token, owned by the model; NULL and 0 for a control token unless special.
    const char *(*token_piece)(const mn_model *model, int32_t token, int32_t special, int32_t *len);
    int32_t (*token_is_end)(const mn_model *model, int32_t token);

    // context
    mn_context_params (*context_default_params)(void);
    mn_status (*context_new)(mn_model *model, const mn_context_params *params, mn_context **out,
                             mn_error *err);
    void (*context_free)(mn_context *ctx);
    void (*context_get)(const mn_context *ctx, uint32_t *n_ctx, uint32_t *n_ctx_seq,
                        uint32_t *n_batch, uint32_t *n_ubatch, uint32_t *n_seq_max,
                        int32_t *device_logits);
    // Decodes and samples one step. MN_ERR_FULL leaves the cache as it was. MN_ERR_CANCELLED and
    // MN_ERR_INTERNAL may leave some of the step's tokens in the cache. After MN_ERR_LOST model and
    // context can only be freed.
    mn_status (*step)(mn_context *ctx, const mn_step_plan *plan, mn_step_result *out,
                      mn_error *err);
    // Samples rows as step does, from logits at hand: rows[r] is a row of these. They are changed
    // meanwhile, and afterwards as they were. For tests and benchmarks.
    mn_status (*sample_logits)(mn_context *ctx, const mn_step_plan *plan, float *logits,
                               mn_step_result *out, mn_error *err);
    // Embeds whole sequences, on a context made for embeddings. All tokens together are at most
    // n_ubatch, and the sequences at most n_seq_max. For pooling rank the rows are scores. Numbers
    // that are not finite are not an error here.
    mn_status (*embed)(mn_context *ctx, const mn_embed_plan *plan, mn_embed_result *out,
                       mn_error *err);
    // How a context for embeddings pools, and how long its rows are.
    void (*embed_get)(const mn_context *ctx, int32_t *pooling_type, int32_t *width);
    // From the next step or embed on, the model's adapters are applied with these scales, one for
    // each in the order of mn_model_params. 0 leaves one out. A change costs the time to lay out
    // the compute buffers anew.
    mn_status (*context_adapt)(mn_context *ctx, const float *scales, int32_t n, mn_error *err);
    // Adds a control vector to the output of the layers from first to last. data has n_embd
    // numbers for each layer from the second on.
    mn_status (*context_steer)(mn_context *ctx, const float *data, size_t n, int32_t first,
                               int32_t last, mn_error *err);
    // Stops a running step after the current operation; stays set until called with 0.
    void (*context_abort)(mn_context *ctx, int32_t abort);
    void (*context_perf)(mn_context *ctx, mn_perf *out);
    void (*context_set_threads)(mn_context *ctx, int32_t n_threads, int32_t n_threads_batch);
    // Memory that the model and this context take, as memory_plan gives it: the devices in use,
    // then this machine's own. flash_attn: 1 when the context uses it.
    mn_status (*context_memory)(const mn_context *ctx, mn_memory *out, int32_t cap, int32_t *n,
                                int32_t *flash_attn, mn_error *err);

    // sequences: positions are [from, to), to < 0 means the end
    int32_t (*seq_remove)(mn_context *ctx, int32_t seq, int32_t from, int32_t to); // 0: cannot
    void (*seq_copy)(mn_context *ctx, int32_t src, int32_t dst, int32_t from, int32_t to);
    int32_t (*seq_shift)(mn_context *ctx, int32_t seq, int32_t from, int32_t to, int32_t delta);
    void (*seq_range)(mn_context *ctx, int32_t seq, int32_t *min, int32_t *max); // -1, -1: empty
    mn_status (*seq_save)(mn_context *ctx, int32_t seq, mn_buf *out, mn_error *err);
    mn_status (*seq_restore)(mn_context *ctx, int32_t seq, const char *data, size_t len,
                             mn_error *err);

    // sampling
    mn_sampler_params (*sampler_default_params)(void);
    mn_status (*sampler_new)(const mn_model *model, const mn_sampler_params *params,
                             mn_sampler **out, mn_error *err);
    void (*sampler_free)(mn_sampler *sampler);
    // Shows prompt tokens to the penalties; does not move the grammar.
    void (*sampler_prime)(mn_sampler *sampler, const int32_t *tokens, int32_t n);
    uint32_t (*sampler_seed)(const mn_sampler *sampler);
    mn_status (*sampler_describe)(const mn_sampler *sampler, mn_buf *out, mn_error *err);

    // chat templates. source NULL or empty: the model's own.
    mn_status (*chat_new)(const mn_model *model, const char *source, size_t len, mn_chat **out,
                          mn_error *err);
    void (*chat_free)(mn_chat *chat);
    mn_status (*chat_source)(const mn_chat *chat, mn_buf *out, mn_error *err);
    // What the template can express, as a JSON object of booleans.
    mn_status (*chat_caps)(const mn_chat *chat, mn_buf *out, mn_error *err);
    // request: JSON {messages, tools?, tool_choice?, parallel_tool_calls?, add_generation_prompt?,
    // enable_thinking?, json_schema?, grammar?, kwargs?, now?} in OpenAI's shapes; now is seconds
    // since 1970. reply: JSON {prompt, generation_prompt, format, parser, grammar, grammar_lazy,
    // stops, thinking_start, thinking_end, supports_thinking}. tokens: the prompt's int32 token
    // ids, in which control tokens come from the template alone, never from the request's text.
    mn_status (*chat_apply)(const mn_chat *chat, const char *request, size_t len, mn_buf *reply,
                            mn_buf *tokens, mn_error *err);
    // GBNF for a JSON schema.
    mn_status (*schema_to_grammar)(const char *schema, size_t len, mn_buf *out, mn_error *err);

    // other machines, by IPv4 address:port. rpc_devices asks one for its devices; at most cap are
    // written, *n is their number. rpc_serve offers devices of this machine by name. It returns
    // only when it cannot go on.
    mn_status (*rpc_devices)(const char *address, mn_device *out, int32_t cap, int32_t *n,
                             mn_error *err);
    mn_status (*rpc_serve)(const char *address, const char *cache_dir, int32_t n_threads,
                           const char *const *devices, int32_t n_devices, mn_error *err);

    // Writes the model at path with its weights in another type to out; if that is NULL, only *size
    // is filled, with about the bytes that its tensors will take. What was written stays after an
    // error. quantize_type lists the names of the types, and is NULL after the last.
    const char *(*quantize_type)(int32_t index);
    mn_status (*quantize)(const char *path, const char *out, const mn_quantize_params *params,
                          uint64_t *size, mn_error *err);

    // late interaction. Needs no model. Vectors are dim numbers for each token, one after another;
    // those of documents are of one of the kinds of mn_vectors, and maxsim_size says how many bytes
    // the vectors of a document take. A kernel is the code for one kind of CPU; maxsim_kernel_name
    // lists those that this CPU runs, best first, and is NULL after the last.
    const char *(*maxsim_kernel_name)(int32_t index);
    size_t (*maxsim_size)(int32_t kind, int32_t dim, int32_t n_tokens);
    mn_status (*maxsim_encode)(int32_t kind, int32_t dim, const float *in, int32_t n, void *out,
                               mn_error *err);
    mn_status (*maxsim_decode)(int32_t kind, int32_t dim, const void *in, int32_t n, float *out,
                               mn_error *err);
    // Queries may be used from any threads at once.
    mn_status (*maxsim_new)(const mn_queries_params *params, mn_queries **out, mn_error *err);
    void (*maxsim_free)(mn_queries *q);
    // scores is [queries][n_docs]: for each token of the query the largest product with a token of
    // the document, added up. Documents lie within size bytes at base, their offsets are multiples
    // of 4, and all have tokens.
    mn_status (*maxsim_score)(const mn_queries *q, const void *base, size_t size,
                              const mn_document *docs, int32_t n_docs, float *scores,
                              mn_error *err);
    // For queries of MN_VECTORS_F32: all products with n float vectors, as [n][lanes], and the
    // vector with the largest, as [lanes]. Lanes are the tokens of a query in order, and some more.
    int64_t (*maxsim_lanes)(const mn_queries *q);
    mn_status (*maxsim_dots)(const mn_queries *q, const float *rows, int32_t n, float *out,
                             mn_error *err);
    mn_status (*maxsim_nearest)(const mn_queries *q, const float *rows, int32_t n, int32_t *out,
                                mn_error *err);

    // late interaction on a device, where documents are kept as half floats. A corpus is used by
    // one thread at a time, but for corpus_put.
    mn_status (*corpus_new)(const mn_corpus_params *params, mn_corpus **out, mn_error *err);
    void (*corpus_free)(mn_corpus *corpus);
    uint64_t (*corpus_bytes)(const mn_corpus *corpus); // on the device
    // Makes places for more documents, behind those that there are. order[i] says which of them, by
    // number, belongs to the i-th of the new places.
    mn_status (*corpus_extend)(mn_corpus *corpus, const int32_t *n_tokens, int64_t n_docs,
                               int64_t *order, mn_error *err);
    // Fills places from `place` on with documents as maxsim_score takes them, and writes how long
    // the longest vector of each is. Several threads may fill different places at once.
    mn_status (*corpus_put)(mn_corpus *corpus, int32_t kind, const void *base, size_t size,
                            const mn_document *docs, int32_t n_docs, int64_t place, float *lengths,
                            mn_error *err);
    // scores is [queries][places]. Vectors of queries are rounded to half floats, those of
    // documents are so already; products are added up as floats.
    mn_status (*corpus_score)(mn_corpus *corpus, const float *vectors, const int32_t *n_tokens,
                              int32_t n_queries, float *scores, mn_error *err);
} mn_table;

// What both sides must agree on. The revision is raised with every change of this header that
// leaves all sizes as they are; any other change shows by itself, so a program that was built
// before it says so instead of calling the wrong function.
#define MN_ABI_REVISION 6
enum {
    MN_ABI = MN_ABI_REVISION * 1000000 +
             (int)(sizeof(mn_table) * 97 + sizeof(mn_model_params) * 53 +
                   sizeof(mn_context_params) * 31 + sizeof(mn_sampler_params) * 13 +
                   sizeof(mn_step_plan) * 7 + sizeof(mn_step_row))
};

#if defined(_WIN32)
#define MN_EXPORT __declspec(dllexport)
#else
#define MN_EXPORT __attribute__((visibility("default")))
#endif

MN_EXPORT const mn_table *mullama_native_table(uint32_t abi);

#ifdef __cplusplus
}
#endif
#endif
