// Loading a model, what it says of itself, and its vocabulary.
#include "grammar.h"

#include "fit.h"

#include <cinttypes>
#include <regex>

mn_model::~mn_model() {
    if (model) {
        llama_model_free(model);
    }
}

namespace mn {

namespace {

// The arrays that llama_model_params points into; they must live until the load returns.
struct load_params {
    llama_model_params params = llama_model_default_params();
    std::vector<ggml_backend_dev_t> devices;
    std::vector<float> tensor_split;
    std::vector<llama_model_kv_override> overrides;
    std::vector<std::string> patterns;
    std::vector<llama_model_tensor_buft_override> tensor_bufts;
    mn_progress_fn progress = nullptr;
    uintptr_t progress_user = 0;
    bool cancelled = false;

    load_params(const mn_model_params &p, const std::vector<rpc_peer> &peers);

  private:
    void set_devices(const mn_model_params &p, const std::vector<rpc_peer> &peers);
    void set_tensor_split(const mn_model_params &p);
    void check_devices(const mn_model_params &p);
    void set_overrides(const mn_model_params &p);
    void set_tensor_bufts(const mn_model_params &p);
};

ggml_backend_buffer_type_t find_buffer_type(const std::string &name) {
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_buffer_type_t buft = ggml_backend_dev_buffer_type(ggml_backend_dev_get(i));
        if (buft && name == ggml_backend_buft_name(buft)) {
            return buft;
        }
    }
    return nullptr;
}

// Other machines come first, as in llama.cpp's own programs. The CPU is there anyway.
void load_params::set_devices(const mn_model_params &p, const std::vector<rpc_peer> &peers) {
    if (!p.devices && peers.empty()) {
        return;
    }
    for (const rpc_peer &peer : peers) {
        devices.insert(devices.end(), peer.devices.begin(), peer.devices.end());
    }
    for (int32_t i = 0; p.devices && i < p.n_devices; i++) {
        ggml_backend_dev_t dev = find_device(p.devices[i]);
        if (ggml_backend_dev_type(dev) != GGML_BACKEND_DEVICE_TYPE_CPU) {
            devices.push_back(dev);
        }
    }
    if (!p.devices) {
        std::vector<ggml_backend_dev_t> gpus = local_gpus();
        devices.insert(devices.end(), gpus.begin(), gpus.end());
    }
    if (!peers.empty()) {
        check_devices(p);
    }
    devices.push_back(nullptr);
    params.devices = devices.data();
}

// How many devices other machines have is only known when they were asked.
void load_params::check_devices(const mn_model_params &p) {
    std::string all = devices.size() == 1
                          ? "there is 1 device"
                          : "there are " + std::to_string(devices.size()) + " devices";
    all += " with those of other machines";
    const float *shares = p.tensor_split;
    if (p.n_tensor_split > 0 && (size_t)p.n_tensor_split != devices.size()) {
        throw failure(MN_ERR_INVALID, "the tensor split is for " +
                                          std::to_string(p.n_tensor_split) + ", and " + all);
    }
    if (p.n_tensor_split > 0 && *std::max_element(shares, shares + p.n_tensor_split) <= 0) {
        throw failure(MN_ERR_INVALID, "tensor split is 0 for every device");
    }
    if (p.main_gpu > 0 && (size_t)p.main_gpu >= devices.size()) {
        throw failure(MN_ERR_INVALID,
                      "main GPU is " + std::to_string(p.main_gpu) + ", counted from 0, and " + all);
    }
}

void load_params::set_tensor_split(const mn_model_params &p) {
    if (p.n_tensor_split <= 0) {
        return;
    }
    if ((size_t)p.n_tensor_split > llama_max_devices()) {
        throw failure(MN_ERR_INVALID, "tensor split has " + std::to_string(p.n_tensor_split) +
                                          " shares; at most " +
                                          std::to_string(llama_max_devices()) + " are possible");
    }
    tensor_split.assign(llama_max_devices(), 0.0f);
    std::copy_n(p.tensor_split, p.n_tensor_split, tensor_split.begin());
    params.tensor_split = tensor_split.data();
}

void load_params::set_overrides(const mn_model_params &p) {
    for (int32_t i = 0; i < p.n_overrides; i++) {
        if (!string_parse_kv_override(p.overrides[i], overrides)) {
            throw failure(MN_ERR_INVALID, "override \"" + std::string(p.overrides[i]) +
                                              "\" is not key=type:value with type int, float, "
                                              "bool or str");
        }
    }
    if (!overrides.empty()) {
        overrides.emplace_back();
        overrides.back().key[0] = 0;
        params.kv_overrides = overrides.data();
    }
}

void load_params::set_tensor_bufts(const mn_model_params &p) {
    patterns.reserve(p.n_tensor_bufts);
    for (int32_t i = 0; i < p.n_tensor_bufts; i++) {
        std::string text = p.tensor_bufts[i];
        size_t eq = text.rfind('=');
        ggml_backend_buffer_type_t buft =
            eq == std::string::npos ? nullptr : find_buffer_type(text.substr(eq + 1));
        if (!buft) {
            throw failure(MN_ERR_INVALID, "tensor placement \"" + text +
                                              "\" is not pattern=buffer with a buffer type that "
                                              "this machine has");
        }
        patterns.push_back(text.substr(0, eq));
        try {
            std::regex check(patterns.back()); // throws here, not inside the load
        } catch (const std::regex_error &e) {
            throw failure(MN_ERR_INVALID, "tensor placement \"" + text +
                                              "\" is not a regular expression: " + e.what());
        }
        tensor_bufts.push_back({patterns.back().c_str(), buft});
    }
    if (!tensor_bufts.empty()) {
        tensor_bufts.push_back({nullptr, nullptr});
        params.tensor_buft_overrides = tensor_bufts.data();
    }
}

load_params::load_params(const mn_model_params &p, const std::vector<rpc_peer> &peers) {
    if (p.load_mode < LLAMA_LOAD_MODE_AUTO || p.load_mode > LLAMA_LOAD_MODE_DIRECT_IO) {
        throw failure(MN_ERR_INVALID, "load mode " + std::to_string(p.load_mode) + " is unknown");
    }
    if (p.split_mode < LLAMA_SPLIT_MODE_NONE || p.split_mode > LLAMA_SPLIT_MODE_TENSOR) {
        throw failure(MN_ERR_INVALID, "split mode " + std::to_string(p.split_mode) + " is unknown");
    }
    params.n_gpu_layers = p.gpu_layers;
    params.split_mode = (llama_split_mode)p.split_mode;
    params.main_gpu = p.main_gpu;
    params.load_mode = (llama_load_mode)p.load_mode;
    params.vocab_only = p.vocab_only;
    params.check_tensors = p.check_tensors;
    params.use_extra_bufts = p.use_extra_bufts;
    params.no_host = p.no_host;
    set_devices(p, peers);
    set_tensor_split(p);
    set_overrides(p);
    set_tensor_bufts(p);

    progress = p.progress;
    progress_user = p.progress_user;
    params.progress_callback_user_data = this;
    params.progress_callback = [](float fraction, void *self) {
        auto *p = (load_params *)self;
        if (p->progress && !p->progress(fraction, p->progress_user)) {
            p->cancelled = true;
        }
        return !p->cancelled;
    };
}

// A negative epsilon is not noticed by the load, but asserted in the middle of the first graph.
void check_norms(const llama_model *model) {
    char key[128], value[64];
    for (int32_t i = 0; i < llama_model_meta_count(model); i++) {
        llama_model_meta_key_by_index(model, i, key, sizeof(key));
        if (std::string_view(key).find("_epsilon") != std::string_view::npos &&
            llama_model_meta_val_str_by_index(model, i, value, sizeof(value)) > 0 &&
            !(std::strtod(value, nullptr) >= 0)) {
            throw failure(MN_ERR_LOAD, std::string(key) + " is " + value + ", which is negative");
        }
    }
}

mn_status load_status(const std::string &reason) {
    bool memory = reason.find("allocate") != std::string::npos ||
                  reason.find("out of memory") != std::string::npos;
    return memory ? MN_ERR_MEMORY : MN_ERR_LOAD;
}

} // namespace

mn_model_params model_default_params() {
    llama_model_params d = llama_model_default_params();
    mn_model_params p = {};
    p.gpu_layers = d.n_gpu_layers;
    p.split_mode = d.split_mode;
    p.main_gpu = d.main_gpu;
    p.load_mode = LLAMA_LOAD_MODE_AUTO;
    p.use_extra_bufts = d.use_extra_bufts;
    return p;
}

static std::vector<rpc_peer> connect_peers(const mn_model_params &p) {
    std::vector<rpc_peer> peers;
    for (int32_t i = 0; i < p.n_rpc; i++) {
        peers.emplace_back(p.rpc[i]);
    }
    return peers;
}

static void load_into(mn_model *model, const char *path, const mn_model_params &params) {
    load_params load(params, model->peers);
    log_capture log;
    model->vocab_only = params.vocab_only;
    model->model = llama_model_load_from_file(path, load.params);
    if (!model->model) {
        if (load.cancelled) {
            throw failure(MN_ERR_CANCELLED, "loading was cancelled");
        }
        std::string reason = log.reason("llama.cpp could not load it and gave no reason");
        throw failure(load_status(reason), reason);
    }
    check_norms(model->model);
    model->vocab = llama_model_get_vocab(model->model);
    model->controls = std::make_unique<control_tokens>(model->vocab);
    for (llama_token t = 0; t < llama_vocab_n_tokens(model->vocab); t++) {
        if (llama_vocab_is_eog(model->vocab, t)) {
            model->ends.push_back(t);
        }
    }
    load_adapters(model, params);
}

mn_status model_load(const char *path, const mn_model_params *params, mn_model **out,
                     mn_error *err) {
    auto model = std::make_unique<mn_model>();
    mn_status status = guard(*model, err, [&] {
        model->peers = connect_peers(*params);
        load_into(model.get(), path, *params);
    });
    if (status == MN_OK) {
        *out = model.release();
    }
    return status;
}

void model_free(mn_model *model) { delete model; }

mn_status model_check(const mn_model *model, mn_error *err) {
    return guard(err, [&] { check_peers(*model); });
}

static void set_vocab_info(const llama_vocab *v, mn_model_info *out) {
    out->n_vocab = llama_vocab_n_tokens(v);
    out->vocab_type = llama_vocab_type(v);
    out->token_bos = llama_vocab_bos(v);
    out->token_eos = llama_vocab_eos(v);
    out->token_eot = llama_vocab_eot(v);
    out->token_nl = llama_vocab_nl(v);
    out->token_pad = llama_vocab_pad(v);
    out->token_fim_pre = llama_vocab_fim_pre(v);
    out->token_fim_suf = llama_vocab_fim_suf(v);
    out->token_fim_mid = llama_vocab_fim_mid(v);
    out->token_sep = llama_vocab_sep(v);
    out->add_bos = llama_vocab_get_add_bos(v);
    out->add_eos = llama_vocab_get_add_eos(v);
    out->add_sep = llama_vocab_get_add_sep(v);
}

void model_get_info(const mn_model *model, mn_model_info *out) {
    const llama_model *m = model->model;
    *out = {};
    llama_model_meta_val_str(m, "general.architecture", out->architecture,
                             sizeof(out->architecture));
    llama_model_desc(m, out->description, sizeof(out->description));
    snprintf(out->file_type, sizeof(out->file_type), "%s", llama_ftype_name(llama_model_ftype(m)));
    out->n_params = llama_model_n_params(m);
    out->size = llama_model_size(m);
    out->n_ctx_train = llama_model_n_ctx_train(m);
    out->n_embd = llama_model_n_embd(m);
    out->n_layer = llama_model_n_layer(m);
    if (out->n_layer > 0) { // a vocabulary alone has none, and llama.cpp then stops the process
        out->n_head = llama_model_n_head(m);
        out->n_head_kv = llama_model_n_head_kv(m);
    }
    out->n_swa = llama_model_n_swa(m);
    out->has_encoder = llama_model_has_encoder(m);
    out->has_decoder = llama_model_has_decoder(m);
    out->recurrent = llama_model_is_recurrent(m);
    out->hybrid = llama_model_is_hybrid(m);
    set_vocab_info(model->vocab, out);
    get_embedding_info(m, out);
}

int32_t model_meta_count(const mn_model *model) { return llama_model_meta_count(model->model); }

template <typename F> static mn_buf meta_text(F &&get) {
    std::string text(256, '\0');
    int32_t n = get(text.data(), text.size());
    if (n >= (int32_t)text.size()) {
        text.resize(n + 1);
        n = get(text.data(), text.size());
    }
    text.resize(std::max(n, 0));
    return to_buf(text);
}

mn_status model_meta_get(const mn_model *model, int32_t index, mn_buf *key, mn_buf *value,
                         mn_error *err) {
    return guard(err, [&] {
        if (index < 0 || index >= model_meta_count(model)) {
            throw failure(MN_ERR_INVALID, "no metadata entry " + std::to_string(index));
        }
        *key = meta_text([&](char *buf, size_t size) {
            return llama_model_meta_key_by_index(model->model, index, buf, size);
        });
        *value = meta_text([&](char *buf, size_t size) {
            return llama_model_meta_val_str_by_index(model->model, index, buf, size);
        });
    });
}

mn_status memory_plan(const char *path, const mn_model_params *mp, const mn_context_params *cp,
                      mn_memory *out, int32_t cap, int32_t *n, mn_error *err) {
    // The dry run swaps the process-wide logger and puts it back.
    static std::mutex one_at_a_time;
    std::lock_guard<std::mutex> lock(one_at_a_time);
    return guard(err, [&] {
        std::vector<rpc_peer> peers = connect_peers(*mp);
        load_params load(*mp, peers);
        load.params.progress_callback = nullptr;
        // Repacked weights lie in buffers that llama.cpp counts for no device. They are as large.
        load.params.use_extra_bufts = false;
        llama_context_params cparams = to_llama(*cp);
        std::vector<ggml_backend_dev_t> devices;
        uint32_t n_layers = 0, n_ctx_train = 0, n_expert = 0;
        auto plan = common_get_device_memory_data(path, &load.params, &cparams, devices, n_layers,
                                                  n_ctx_train, n_expert, GGML_LOG_LEVEL_NONE);
        *n = 0;
        for (size_t i = 0; i < plan.size() && *n < cap; i++) {
            mn_memory &m = out[(*n)++];
            m = {};
            m.total = std::max<int64_t>(plan[i].total, 0);
            m.free = std::max<int64_t>(plan[i].free, 0);
            m.model = plan[i].model;
            m.context = plan[i].context;
            m.compute = plan[i].compute;
            std::string name = i < devices.size() ? device_name(devices[i]) : "host";
            snprintf(m.device, sizeof(m.device), "%s", name.c_str());
        }
    });
}

int32_t tokenize(const mn_model *model, const char *text, size_t len, int32_t add_special,
                 int32_t parse_special, int32_t *out, int32_t cap) {
    return tokenize_text(model->vocab, {text, len}, add_special, parse_special, out, cap);
}

int64_t detokenize(const mn_model *model, const int32_t *tokens, int32_t n, int32_t special,
                   char *out, size_t cap) {
    int32_t n_vocab = llama_vocab_n_tokens(model->vocab);
    std::vector<llama_token> known;
    known.reserve(n);
    std::copy_if(tokens, tokens + n, std::back_inserter(known),
                 [&](int32_t t) { return t >= 0 && t < n_vocab; });
    border here;
    try {
        return llama_detokenize(model->vocab, known.data(), (int32_t)known.size(), out,
                                (int32_t)std::min<size_t>(cap, INT32_MAX), false, special);
    } catch (const std::exception &) {
        return 0;
    }
}

static std::string make_piece(const llama_vocab *vocab, int32_t token, bool special) {
    std::string piece(32, '\0');
    int32_t n = llama_token_to_piece(vocab, token, piece.data(), (int32_t)piece.size(), 0, special);
    if (n < 0) {
        piece.resize(-n);
        n = llama_token_to_piece(vocab, token, piece.data(), (int32_t)piece.size(), 0, special);
    }
    piece.resize(std::max(n, 0));
    return piece;
}

const char *token_piece(const mn_model *model, int32_t token, int32_t special, int32_t *len) {
    *len = 0;
    if (token < 0 || token >= llama_vocab_n_tokens(model->vocab)) {
        return nullptr;
    }
    int64_t key = (int64_t)token * 2 + (special ? 1 : 0);
    std::lock_guard<std::mutex> lock(model->pieces_mutex);
    auto &slot = model->pieces[key];
    border here;
    try {
        if (!slot) {
            slot = std::make_unique<std::string>(make_piece(model->vocab, token, special));
        }
    } catch (const std::exception &) { // a model without a vocabulary, for one
        return nullptr;
    }
    *len = (int32_t)slot->size();
    return slot->data();
}

int32_t token_is_end(const mn_model *model, int32_t token) {
    return token >= 0 && token < llama_vocab_n_tokens(model->vocab) &&
           llama_vocab_is_eog(model->vocab, token);
}

} // namespace mn
