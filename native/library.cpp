// The table itself, and what belongs to the library as a whole: errors, log, backends and devices.
#include "facade.h"

#include "build-info.h"
#include "log.h"

namespace mn {

namespace {

std::mutex log_mutex; // guards the three below
mn_log_fn log_fn = nullptr;
uintptr_t log_user = 0;
int32_t log_min = 5;

thread_local log_capture *capture = nullptr;
thread_local log_hook *hook = nullptr;
thread_local std::string log_line; // text logged on this thread without a newline yet
thread_local int32_t log_line_level = 2;

int32_t to_level(ggml_log_level level) {
    switch (level) {
    case GGML_LOG_LEVEL_DEBUG:
        return 1;
    case GGML_LOG_LEVEL_WARN:
        return 3;
    case GGML_LOG_LEVEL_ERROR:
        return 4;
    default:
        return 2;
    }
}

void on_log(ggml_log_level level, const char *text, void *) {
    if (capture) {
        capture->add(level, text);
    }
    if (hook) {
        hook->see(text);
    }
    std::lock_guard<std::mutex> lock(log_mutex);
    if (level != GGML_LOG_LEVEL_CONT) {
        log_line_level = to_level(level);
    }
    if (!log_fn || log_line_level < log_min) {
        return;
    }
    log_line += text;
    size_t end;
    while ((end = log_line.find('\n')) != std::string::npos) {
        if (end > 0) {
            log_fn(log_line_level, log_line.data(), end, log_user);
        }
        log_line.erase(0, end + 1);
    }
}

// Cuts "function_name: " off the front, and "error loading model: " in front of the real reason.
std::string without_origin(std::string line) {
    size_t colon = line.find(": ");
    if (colon != std::string::npos && line.find(' ') == colon + 1) {
        line.erase(0, colon + 2);
    }
    return line;
}

// "llama-model.cpp:1330: GGML_ASSERT(…) failed" without the folders of the machine that built it.
std::string without_folders(const std::string &message) {
    size_t end = message.find(": ");
    size_t slash = message.rfind('/', end);
    return slash == std::string::npos ? message : message.substr(slash + 1);
}

// ggml calls this instead of aborting. An assertion of llama.cpp itself is thrown to the border.
// One of ggml is not: it may come from the middle of a graph, whose other threads would wait for
// this one for ever. Where requests of another machine are read, it is.
void on_abort(const char *message) {
    const char *end = strstr(message, ": ");
    bool ggml =
        end && std::string_view(message, end - message).find("/ggml/src/") != std::string::npos;
    if (border::inside() && (!ggml || serving_rpc())) {
        throw failure(MN_ERR_INTERNAL, "llama.cpp gave up at " + without_folders(message));
    }
    fprintf(stderr, "%s\n", message); // and the process ends
}

} // namespace

thread_local int border::depth_ = 0;

size_t utf8_length(std::string_view text, size_t pos) {
    unsigned char c = text[pos];
    size_t n = c < 0x80 ? 1 : (c >> 5) == 6 ? 2 : (c >> 4) == 14 ? 3 : (c >> 3) == 30 ? 4 : 0;
    if (n == 0 || pos + n > text.size()) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((text[pos + i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return n;
}

bool is_utf8(std::string_view text) {
    for (size_t i = 0, n; i < text.size(); i += n) {
        n = utf8_length(text, i);
        if (n == 0) {
            return false;
        }
    }
    return true;
}

// Messages hold bytes of model files, which may be anything; the border promises one line of UTF-8.
static std::string one_line(std::string_view in) {
    std::string out;
    for (size_t i = 0; i < in.size();) {
        size_t n = utf8_length(in, i);
        if (n == 0 || (unsigned char)in[i] < ' ') {
            out += n == 0 ? '?' : ' ';
            i++;
            continue;
        }
        out += in.substr(i, n);
        i += n;
    }
    size_t first = out.find_first_not_of(' '), last = out.find_last_not_of(' ');
    return first == std::string::npos ? "" : out.substr(first, last - first + 1);
}

void set_error(mn_error *err, std::string_view message) {
    std::string text = one_line(message);
    size_t n = std::min(text.size(), sizeof(err->message) - 1);
    while (n < text.size() && n > 0 && (text[n] & 0xC0) == 0x80) {
        n--; // never cut a character in two
    }
    memcpy(err->message, text.data(), n);
    err->message[n] = 0;
}

mn_buf to_buf(const void *data, size_t size) {
    mn_buf buf = {nullptr, size};
    if (size > 0) {
        buf.data = (char *)malloc(size);
        if (!buf.data) {
            throw std::bad_alloc();
        }
        memcpy(buf.data, data, size);
    }
    return buf;
}

static void buf_free(mn_buf buf) { free(buf.data); }

log_hook::log_hook(std::function<void(const char *text)> see) : see_(std::move(see)) {
    hook = this;
}
log_hook::~log_hook() { hook = nullptr; }

log_capture::log_capture() : outer_(capture) { capture = this; }
log_capture::~log_capture() { capture = outer_; }

void log_capture::add(ggml_log_level level, const char *text) {
    if (level != GGML_LOG_LEVEL_ERROR && (level != GGML_LOG_LEVEL_CONT || line_.empty())) {
        return;
    }
    line_ += text;
    size_t end;
    while ((end = line_.find('\n')) != std::string::npos) {
        if (end > 0) {
            errors_.push_back(without_origin(line_.substr(0, end)));
        }
        line_.erase(0, end + 1);
    }
}

std::string log_capture::reason(const std::string &fallback) const {
    if (errors_.empty()) {
        return fallback;
    }
    // The first error is the cause; those after it say that the caller gave up because of it.
    std::string cause = errors_.front();
    for (const char *prefix : {"error loading model: ", "failed to initialize the context: "}) {
        if (cause.rfind(prefix, 0) == 0) {
            cause.erase(0, strlen(prefix));
        }
    }
    cause = without_origin(cause);
    static const std::string failed = "failed to ";
    return cause.rfind(failed, 0) == 0 ? "cannot " + cause.substr(failed.size()) : cause;
}

void log_set(mn_log_fn fn, uintptr_t user, int32_t min_level) {
    std::lock_guard<std::mutex> lock(log_mutex);
    log_fn = fn;
    log_user = user;
    log_min = min_level;
}

void init_backends() {
    static std::once_flag once;
    std::call_once(once, [] {
        llama_log_set(on_log, nullptr);
        ggml_set_abort_callback(on_abort);
        // `common` prints through a logger of its own, from a thread of its own. Its errors reach
        // us as exceptions; nothing may print behind the program's back.
        common_log_set_verbosity_thold(-1);
        load_plugins();
        llama_backend_init();
    });
}

const char *version() {
    static const std::string text = std::string("llama.cpp ") + llama_version() + " (" +
                                    MULLAMA_ENGINE_PIN + "), " + llama_compiler();
    return text.c_str();
}

const char *system_info() {
    static const std::string text = llama_print_system_info();
    return text.c_str();
}

int32_t device_count() { return (int32_t)ggml_backend_dev_count(); }

static int32_t to_kind(enum ggml_backend_dev_type type) {
    switch (type) {
    case GGML_BACKEND_DEVICE_TYPE_CPU:
        return 0;
    case GGML_BACKEND_DEVICE_TYPE_GPU:
        return 1;
    case GGML_BACKEND_DEVICE_TYPE_IGPU:
        return 2;
    default:
        return 3;
    }
}

mn_device describe(ggml_backend_dev_t dev) {
    mn_device d = {};
    snprintf(d.name, sizeof(d.name), "%s", device_name(dev).c_str());
    snprintf(d.description, sizeof(d.description), "%s", ggml_backend_dev_description(dev));
    d.kind = to_kind(ggml_backend_dev_type(dev));
    size_t free = 0, total = 0;
    ggml_backend_dev_memory(dev, &free, &total);
    d.memory_free = free;
    d.memory_total = total;
    return d;
}

mn_status device_get(int32_t index, mn_device *out, mn_error *err) {
    return guard(err, [&] {
        if (index < 0 || index >= device_count()) {
            throw failure(MN_ERR_INVALID, "no device " + std::to_string(index));
        }
        *out = describe(ggml_backend_dev_get(index));
    });
}

static const mn_table table = {
    MN_ABI,
    sizeof(mn_table),
    version,
    system_info,
    device_count,
    device_get,
    log_set,
    buf_free,
    plugins,
    model_default_params,
    model_load,
    model_free,
    model_check,
    model_get_info,
    model_meta_count,
    model_meta_get,
    memory_plan,
    tokenize,
    detokenize,
    token_piece,
    token_is_end,
    context_default_params,
    context_new,
    context_free,
    context_get,
    step,
    sample_logits,
    embed,
    embed_get,
    context_adapt,
    context_steer,
    context_abort,
    context_perf,
    context_set_threads,
    context_memory,
    seq_remove,
    seq_copy,
    seq_shift,
    seq_range,
    seq_save,
    seq_restore,
    sampler_default_params,
    sampler_new,
    sampler_free,
    sampler_prime,
    sampler_seed,
    sampler_describe,
    chat_new,
    chat_free,
    chat_source,
    chat_caps,
    chat_apply,
    schema_to_grammar,
    rpc_devices,
    rpc_serve,
    quantize_type,
    quantize,
    maxsim_kernel_name,
    maxsim_size,
    maxsim_encode,
    maxsim_decode,
    maxsim_new,
    maxsim_free,
    maxsim_score,
    maxsim_lanes,
    maxsim_dots,
    maxsim_nearest,
    corpus_new,
    corpus_free,
    corpus_bytes,
    corpus_extend,
    corpus_put,
    corpus_score,
};

} // namespace mn

extern "C" const mn_table *mullama_native_table(uint32_t abi) {
    if (abi != MN_ABI) {
        return nullptr;
    }
    mn::init_backends();
    return &mn::table;
}
