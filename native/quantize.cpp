// Quantising: a model written anew with its weights in another type.
#include "facade.h"

#include "common.h"
#include "imatrix-loader.h"

#include <cmath>
#include <strings.h>

namespace mn {

namespace {

struct file_type {
    const char *name;
    llama_ftype type;
};

const file_type file_types[] = {
    {"F32", LLAMA_FTYPE_ALL_F32},
    {"F16", LLAMA_FTYPE_MOSTLY_F16},
    {"BF16", LLAMA_FTYPE_MOSTLY_BF16},
    {"Q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
    {"Q6_K", LLAMA_FTYPE_MOSTLY_Q6_K},
    {"Q5_K_M", LLAMA_FTYPE_MOSTLY_Q5_K_M},
    {"Q5_K_S", LLAMA_FTYPE_MOSTLY_Q5_K_S},
    {"Q5_1", LLAMA_FTYPE_MOSTLY_Q5_1},
    {"Q5_0", LLAMA_FTYPE_MOSTLY_Q5_0},
    {"Q4_K_M", LLAMA_FTYPE_MOSTLY_Q4_K_M},
    {"Q4_K_S", LLAMA_FTYPE_MOSTLY_Q4_K_S},
    {"Q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},
    {"Q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},
    {"IQ4_NL", LLAMA_FTYPE_MOSTLY_IQ4_NL},
    {"IQ4_XS", LLAMA_FTYPE_MOSTLY_IQ4_XS},
    {"MXFP4_MOE", LLAMA_FTYPE_MOSTLY_MXFP4_MOE},
    {"Q3_K_L", LLAMA_FTYPE_MOSTLY_Q3_K_L},
    {"Q3_K_M", LLAMA_FTYPE_MOSTLY_Q3_K_M},
    {"Q3_K_S", LLAMA_FTYPE_MOSTLY_Q3_K_S},
    {"IQ3_M", LLAMA_FTYPE_MOSTLY_IQ3_M},
    {"IQ3_S", LLAMA_FTYPE_MOSTLY_IQ3_S},
    {"IQ3_XS", LLAMA_FTYPE_MOSTLY_IQ3_XS},
    {"IQ3_XXS", LLAMA_FTYPE_MOSTLY_IQ3_XXS},
    {"Q2_K", LLAMA_FTYPE_MOSTLY_Q2_K},
    {"Q2_K_S", LLAMA_FTYPE_MOSTLY_Q2_K_S},
    {"IQ2_M", LLAMA_FTYPE_MOSTLY_IQ2_M},
    {"IQ2_S", LLAMA_FTYPE_MOSTLY_IQ2_S},
    {"IQ2_XS", LLAMA_FTYPE_MOSTLY_IQ2_XS},
    {"IQ2_XXS", LLAMA_FTYPE_MOSTLY_IQ2_XXS},
    {"IQ1_M", LLAMA_FTYPE_MOSTLY_IQ1_M},
    {"IQ1_S", LLAMA_FTYPE_MOSTLY_IQ1_S},
    {"TQ2_0", LLAMA_FTYPE_MOSTLY_TQ2_0},
    {"TQ1_0", LLAMA_FTYPE_MOSTLY_TQ1_0},
    {"Q2_0", LLAMA_FTYPE_MOSTLY_Q2_0},
    {"Q1_0", LLAMA_FTYPE_MOSTLY_Q1_0},
};

llama_ftype find_file_type(const std::string &name) {
    for (const file_type &t : file_types) {
        if (name == t.name) {
            return t.type;
        }
    }
    throw failure(MN_ERR_INVALID, "there is no type \"" + name + "\" to quantise to");
}

// A type of tensors by its name. NULL: whatever the file's type gives them.
ggml_type find_tensor_type(const char *name, const char *what) {
    if (!name) {
        return GGML_TYPE_COUNT;
    }
    for (int i = 0; i < GGML_TYPE_COUNT; i++) {
        auto type = (ggml_type)i;
        bool floats = type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16;
        const ggml_type_traits *traits = ggml_get_type_traits(type);
        if ((floats || (ggml_is_quantized(type) && traits->from_float_ref)) && traits->type_name &&
            strcasecmp(name, traits->type_name) == 0) {
            return type;
        }
    }
    throw failure(MN_ERR_INVALID, std::string("there is no type \"") + name + "\" for " + what);
}

// What an importance matrix says of each tensor: the mean square of each of its inputs.
class importance {
  public:
    explicit importance(const char *path) {
        log_capture log;
        common_imatrix matrix;
        if (!common_imatrix_load(path, matrix) || matrix.entries.empty()) {
            throw failure(MN_ERR_INVALID, std::string(path) + " is not an importance matrix");
        }
        for (const auto &[name, entry] : matrix.entries) {
            means_.emplace_back(name, mean(entry));
        }
        for (const auto &[name, values] : means_) {
            list_.push_back({name.c_str(), values.data(), values.size()});
        }
        list_.push_back({nullptr, nullptr, 0});
        note("quantize.imatrix.entries_count", (int64_t)means_.size());
        note("quantize.imatrix.chunks_count", matrix.chunk_count);
        notes_.emplace_back();
    }
    const llama_model_imatrix_data *list() const { return list_.data(); }
    const llama_model_kv_override *notes() const { return notes_.data(); }

  private:
    // An expert that no text of the calibration reached counts as any other.
    static std::vector<float> mean(const common_imatrix_entry &e) {
        std::vector<float> values = e.sums;
        size_t n = e.counts.empty() ? 0 : values.size() / e.counts.size();
        for (size_t i = 0; n > 0 && i < values.size(); i++) {
            int64_t count = e.counts[std::min(i / n, e.counts.size() - 1)];
            values[i] = count > 0 ? values[i] / (float)count : 1.0f;
        }
        return values;
    }

    void note(const char *key, int64_t value) {
        llama_model_kv_override o = {};
        o.tag = LLAMA_KV_OVERRIDE_TYPE_INT;
        snprintf(o.key, sizeof(o.key), "%s", key);
        o.val_i64 = value;
        notes_.push_back(o);
    }

    std::vector<std::pair<std::string, std::vector<float>>> means_;
    std::vector<llama_model_imatrix_data> list_;
    std::vector<llama_model_kv_override> notes_;
};

llama_model_quantize_params to_llama(const mn_quantize_params &p) {
    llama_model_quantize_params q = llama_model_quantize_default_params();
    if (p.n_threads < 0 || p.n_threads > GGML_MAX_N_THREADS) {
        throw failure(MN_ERR_INVALID, "threads are " + std::to_string(p.n_threads));
    }
    q.nthread = p.n_threads;
    q.only_copy = strcmp(p.type, "COPY") == 0;
    if (!q.only_copy) {
        q.ftype = find_file_type(p.type);
    }
    q.allow_requantize = p.requantize;
    q.quantize_output_tensor = !p.leave_output;
    q.pure = p.pure;
    q.output_tensor_type = find_tensor_type(p.output_type, "the output");
    q.token_embedding_type = find_tensor_type(p.embedding_type, "the embeddings of tokens");
    q.max_buf_size = (size_t)1 << 30; // llama.cpp's own is eight times that
    return q;
}

// One run of llama.cpp's quantiser, which tells how it gets on in its log alone.
class run {
  public:
    explicit run(const mn_quantize_params &p) : p_(p) {}

    void go(const char *path, const char *out, const llama_model_quantize_params &q) {
        log_capture log;
        log_hook hook([this](const char *text) { read(text); });
        if (llama_model_quantize(path, out, &q) == 0) {
            return;
        }
        if (cancelled_) {
            throw failure(MN_ERR_CANCELLED, "quantising was cancelled");
        }
        std::string reason = log.reason("llama.cpp gave no reason");
        throw failure(MN_ERR_INVALID, reason.substr(reason.find_first_not_of("\n= ")));
    }

    uint64_t size = 0;         // of the new tensors
    bool needs_matrix = false; // and has none

  private:
    void read(const char *text) {
        int done = 0, all = 0;
        double mib = 0;
        const char *found = strstr(text, "quant size  = ");
        if (found && sscanf(found, "quant size  = %lf MiB", &mib) == 1) {
            size = (uint64_t)std::ceil((mib + 0.01) * 1024 * 1024);
        }
        needs_matrix = needs_matrix || strstr(text, "will require an imatrix");
        if (p_.progress && sscanf(text, "[%d/%d]", &done, &all) == 2 &&
            !p_.progress(done - 1, all, p_.progress_user)) {
            cancelled_ = true;
            throw failure(MN_ERR_CANCELLED, "cancelled");
        }
    }

    const mn_quantize_params &p_;
    bool cancelled_ = false;
};

} // namespace

const char *quantize_type(int32_t index) {
    bool known = index >= 0 && index < (int32_t)(sizeof(file_types) / sizeof(*file_types));
    return known ? file_types[index].name : nullptr;
}

mn_status quantize(const char *path, const char *out, const mn_quantize_params *params,
                   uint64_t *size, mn_error *err) {
    return guard(err, [&] {
        llama_model_quantize_params q = to_llama(*params);
        std::unique_ptr<importance> matrix;
        if (params->imatrix) {
            matrix = std::make_unique<importance>(params->imatrix);
            q.imatrix = matrix->list();
            q.kv_overrides = matrix->notes();
        }
        run r(*params);
        q.dry_run = !out;
        r.go(path, out ? out : "", q);
        *size = r.size;
        if (r.needs_matrix && !q.imatrix) {
            throw failure(MN_ERR_INVALID,
                          std::string(params->type) + " needs an importance matrix");
        }
    });
}

} // namespace mn
