// What the facade's source files share: the handles behind mullama_native.h, the error border and
// the capture of llama.cpp's log.
#pragma once

#include "mullama_native.h"

#include "chat.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "llama.h"
#include "sampling.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace mn {

// A connection to another machine that a model is on.
struct rpc_peer {
    std::string address;
    uint64_t losses = 0; // of this address when the connection was made
    std::vector<ggml_backend_dev_t> devices;
    std::shared_ptr<ggml_backend> open; // keeps it for as long as the model

    explicit rpc_peer(const std::string &address); // throws failure
    bool lost() const;
};

// An error on its way to the border; everything else that is thrown becomes MN_ERR_INTERNAL.
struct failure : std::runtime_error {
    mn_status status;
    failure(mn_status status, const std::string &message)
        : std::runtime_error(message), status(status) {}
};

void set_error(mn_error *err, std::string_view message);

// The length of the valid UTF-8 character at pos, 0 if there is none.
size_t utf8_length(std::string_view text, size_t pos);
bool is_utf8(std::string_view text);

// While one is alive on a thread, what llama.cpp asserts on that thread is thrown as a failure
// instead of ending the process.
class border {
  public:
    border() { depth_++; }
    ~border() { depth_--; }
    border(const border &) = delete;
    static bool inside() { return depth_ > 0; }

  private:
    static thread_local int depth_;
};

// Runs f and turns whatever it throws into a status and a message.
template <typename F> mn_status guard(mn_error *err, F &&f) {
    border here;
    try {
        f();
        return MN_OK;
    } catch (const failure &e) {
        set_error(err, e.what());
        return e.status;
    } catch (const std::bad_alloc &) {
        set_error(err, "out of memory");
        return MN_ERR_MEMORY;
    } catch (const std::exception &e) {
        set_error(err, e.what());
        return MN_ERR_INTERNAL;
    } catch (...) {
        set_error(err, "unknown C++ exception in llama.cpp");
        return MN_ERR_INTERNAL;
    }
}

void check_peers(const mn_model &model); // throws a failure if one is lost

// The same for what uses a model: what happens after the loss of a machine that it is on, and be it
// that nothing is thrown, is that loss.
template <typename F> mn_status guard(const mn_model &model, mn_error *err, F &&f) {
    return guard(err, [&] {
        try {
            f();
        } catch (...) {
            check_peers(model);
            throw;
        }
        check_peers(model);
    });
}

// Runs work on what strangers wrote, and ends it with "<what> nests too deeply" and the like when
// it goes beyond what is sensible.
void run_limited(mn_status status, const char *what, const std::function<void()> &run);

// Refuse, by throwing a failure, what would break llama.cpp's parsers.
void check_json_depth(std::string_view text, const char *what);
void check_grammar_text(const std::string &text);
void check_template(const std::string &text);

mn_buf to_buf(const void *data, size_t size);
inline mn_buf to_buf(const std::string &s) { return to_buf(s.data(), s.size()); }

// Collects the warnings and errors that llama.cpp logs on this thread while it is alive: llama.cpp
// reports the reason of a failed load only there.
class log_capture {
  public:
    log_capture();
    ~log_capture();
    // The reason in one line: the collected errors without llama.cpp's function names.
    std::string reason(const std::string &fallback) const;
    void add(ggml_log_level level, const char *text);

  private:
    std::vector<std::string> errors_;
    std::string line_; // an error still without its newline
    log_capture *outer_;
};

// Has a function see each line that llama.cpp logs on this thread. What it throws ends the call
// that logs.
class log_hook {
  public:
    explicit log_hook(std::function<void(const char *text)> see);
    ~log_hook();
    log_hook(const log_hook &) = delete;
    void see(const char *text) const { see_(text); }

  private:
    std::function<void(const char *text)> see_;
};

// llama_tokenize for text of any length. INT32_MIN: the text cannot be tokenised.
int32_t tokenize_text(const llama_vocab *vocab, std::string_view text, bool add_special,
                      bool parse_special, int32_t *out, int32_t cap);

void init_backends(); // once per process, before anything else
const char *version();
const char *system_info();
int32_t device_count();
mn_status device_get(int32_t index, mn_device *out, mn_error *err);
void log_set(mn_log_fn fn, uintptr_t user, int32_t min_level);
void load_plugins(); // from the library's folder; nothing where all is linked in
mn_status plugins(mn_buf *out, mn_error *err);

std::string device_name(ggml_backend_dev_t dev);
ggml_backend_dev_t find_device(const std::string &name); // throws failure
std::vector<ggml_backend_dev_t> local_gpus();
mn_device describe(ggml_backend_dev_t dev);
bool serving_rpc(); // on this thread, and not in the middle of a graph
mn_status rpc_devices(const char *address, mn_device *out, int32_t cap, int32_t *n, mn_error *err);
mn_status rpc_serve(const char *address, const char *cache_dir, int32_t n_threads,
                    const char *const *devices, int32_t n_devices, mn_error *err);

mn_model_params model_default_params();
mn_status model_load(const char *path, const mn_model_params *params, mn_model **out,
                     mn_error *err);
void model_free(mn_model *model);
mn_status model_check(const mn_model *model, mn_error *err);
void model_get_info(const mn_model *model, mn_model_info *out);
void get_embedding_info(const llama_model *model, mn_model_info *out);
void load_adapters(mn_model *model, const mn_model_params &p); // throws failure
int32_t model_meta_count(const mn_model *model);
mn_status model_meta_get(const mn_model *model, int32_t index, mn_buf *key, mn_buf *value,
                         mn_error *err);
mn_status memory_plan(const char *path, const mn_model_params *mp, const mn_context_params *cp,
                      mn_memory *out, int32_t cap, int32_t *n, mn_error *err);

int32_t tokenize(const mn_model *model, const char *text, size_t len, int32_t add_special,
                 int32_t parse_special, int32_t *out, int32_t cap);
int64_t detokenize(const mn_model *model, const int32_t *tokens, int32_t n, int32_t special,
                   char *out, size_t cap);
const char *token_piece(const mn_model *model, int32_t token, int32_t special, int32_t *len);
int32_t token_is_end(const mn_model *model, int32_t token);

mn_context_params context_default_params();
llama_context_params to_llama(const mn_context_params &p); // throws failure
mn_status context_new(mn_model *model, const mn_context_params *params, mn_context **out,
                      mn_error *err);
void context_free(mn_context *ctx);
void context_get(const mn_context *ctx, uint32_t *n_ctx, uint32_t *n_ctx_seq, uint32_t *n_batch,
                 uint32_t *n_ubatch, uint32_t *n_seq_max, int32_t *device_logits);
mn_status step(mn_context *ctx, const mn_step_plan *plan, mn_step_result *out, mn_error *err);
mn_status sample_logits(mn_context *ctx, const mn_step_plan *plan, float *logits,
                        mn_step_result *out, mn_error *err);
mn_status embed(mn_context *ctx, const mn_embed_plan *plan, mn_embed_result *out, mn_error *err);
void embed_get(const mn_context *ctx, int32_t *pooling_type, int32_t *width);
mn_status context_adapt(mn_context *ctx, const float *scales, int32_t n, mn_error *err);
mn_status context_steer(mn_context *ctx, const float *data, size_t n, int32_t first, int32_t last,
                        mn_error *err);
void context_abort(mn_context *ctx, int32_t abort);
void context_perf(mn_context *ctx, mn_perf *out);
void context_set_threads(mn_context *ctx, int32_t n_threads, int32_t n_threads_batch);
mn_status context_memory(const mn_context *ctx, mn_memory *out, int32_t cap, int32_t *n,
                         int32_t *flash_attn, mn_error *err);
void measure(llama_context *ctx, std::vector<mn_memory> &out); // memory of a context and its model

int32_t seq_remove(mn_context *ctx, int32_t seq, int32_t from, int32_t to);
void seq_copy(mn_context *ctx, int32_t src, int32_t dst, int32_t from, int32_t to);
int32_t seq_shift(mn_context *ctx, int32_t seq, int32_t from, int32_t to, int32_t delta);
void seq_range(mn_context *ctx, int32_t seq, int32_t *min, int32_t *max);
mn_status seq_save(mn_context *ctx, int32_t seq, mn_buf *out, mn_error *err);
mn_status seq_restore(mn_context *ctx, int32_t seq, const char *data, size_t len, mn_error *err);
mn_buf save_state(llama_context *ctx, int32_t seq);                          // throws failure
void restore_state(llama_context *ctx, int32_t seq, std::string_view saved); // throws failure

mn_sampler_params sampler_default_params();
mn_status sampler_new(const mn_model *model, const mn_sampler_params *params, mn_sampler **out,
                      mn_error *err);
void sampler_free(mn_sampler *sampler);
void sampler_prime(mn_sampler *sampler, const int32_t *tokens, int32_t n);
uint32_t sampler_seed(const mn_sampler *sampler);
mn_status sampler_describe(const mn_sampler *sampler, mn_buf *out, mn_error *err);

mn_status chat_new(const mn_model *model, const char *source, size_t len, mn_chat **out,
                   mn_error *err);
void chat_free(mn_chat *chat);
mn_status chat_source(const mn_chat *chat, mn_buf *out, mn_error *err);
mn_status chat_caps(const mn_chat *chat, mn_buf *out, mn_error *err);
mn_status chat_apply(const mn_chat *chat, const char *request, size_t len, mn_buf *reply,
                     mn_buf *tokens, mn_error *err);
mn_status schema_to_grammar(const char *schema, size_t len, mn_buf *out, mn_error *err);

const char *quantize_type(int32_t index);
mn_status quantize(const char *path, const char *out, const mn_quantize_params *params,
                   uint64_t *size, mn_error *err);

const char *maxsim_kernel_name(int32_t index);
size_t maxsim_size(int32_t kind, int32_t dim, int32_t n_tokens);
mn_status maxsim_encode(int32_t kind, int32_t dim, const float *in, int32_t n, void *out,
                        mn_error *err);
mn_status maxsim_decode(int32_t kind, int32_t dim, const void *in, int32_t n, float *out,
                        mn_error *err);
mn_status maxsim_new(const mn_queries_params *params, mn_queries **out, mn_error *err);
void maxsim_free(mn_queries *q);
mn_status maxsim_score(const mn_queries *q, const void *base, size_t size, const mn_document *docs,
                       int32_t n_docs, float *scores, mn_error *err);
int64_t maxsim_lanes(const mn_queries *q);
mn_status maxsim_dots(const mn_queries *q, const float *rows, int32_t n, float *out, mn_error *err);
mn_status maxsim_nearest(const mn_queries *q, const float *rows, int32_t n, int32_t *out,
                         mn_error *err);

mn_status corpus_new(const mn_corpus_params *params, mn_corpus **out, mn_error *err);
void corpus_free(mn_corpus *c);
uint64_t corpus_bytes(const mn_corpus *c);
mn_status corpus_extend(mn_corpus *c, const int32_t *n_tokens, int64_t n_docs, int64_t *order,
                        mn_error *err);
mn_status corpus_put(mn_corpus *c, int32_t kind, const void *base, size_t size,
                     const mn_document *docs, int32_t n_docs, int64_t place, float *lengths,
                     mn_error *err);
mn_status corpus_score(mn_corpus *c, const float *vectors, const int32_t *n_tokens,
                       int32_t n_queries, float *scores, mn_error *err);

// The text of control tokens found in a prompt. Prompt text is cut at those; what lies between is
// tokenised as plain text, which is what llama.cpp does with its own special-token parsing.
class control_tokens {
  public:
    explicit control_tokens(const llama_vocab *vocab);
    // The longest control token whose text starts at `pos` of `text`, or -1.
    llama_token match(std::string_view text, size_t pos) const;
    // Whether the end of `text`, from `pos` on, is the start of a control token's text.
    bool begins_at_end(std::string_view text, size_t pos) const;
    size_t length(llama_token token) const;

  private:
    struct entry {
        std::string_view text;
        llama_token token;
    };
    const llama_vocab *vocab_;
    std::vector<entry> by_first_byte_[256]; // longest first
};

class token_groups; // grammar.h

} // namespace mn

struct mn_model {
    std::vector<mn::rpc_peer> peers; // freed last
    llama_model *model = nullptr;
    const llama_vocab *vocab = nullptr;
    bool vocab_only = false;
    std::vector<llama_adapter_lora *> adapters; // llama.cpp frees them with the model
    std::unique_ptr<mn::control_tokens> controls;
    std::vector<llama_token> ends; // tokens that end a text

    mutable std::once_flag groups_once; // made for the first grammar
    mutable std::unique_ptr<mn::token_groups> groups;

    // Pieces handed out so far; their addresses stay valid as long as the model.
    mutable std::mutex pieces_mutex;
    mutable std::unordered_map<int64_t, std::unique_ptr<std::string>> pieces;

    ~mn_model();
};
