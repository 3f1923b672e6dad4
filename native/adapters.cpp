// LoRA adapters, which are loaded with their model and applied by a context, and control vectors.
#include "context.h"

#include <cmath>

namespace mn {

void load_adapters(mn_model *model, const mn_model_params &p) {
    for (int32_t i = 0; i < p.n_adapters; i++) {
        log_capture log;
        llama_adapter_lora *adapter = llama_adapter_lora_init(model->model, p.adapters[i]);
        if (!adapter) {
            std::string reason = log.reason("llama.cpp could not load it and gave no reason");
            throw failure(MN_ERR_LOAD, "the adapter " + std::string(p.adapters[i]) + ": " + reason);
        }
        model->adapters.push_back(adapter);
    }
}

static void check_finite(const char *what, const float *numbers, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!std::isfinite(numbers[i])) {
            throw failure(MN_ERR_INVALID, std::string(what) + " holds a number that is not finite");
        }
    }
}

mn_status context_adapt(mn_context *ctx, const float *scales, int32_t n, mn_error *err) {
    return guard(err, [&] {
        std::vector<llama_adapter_lora *> adapters = ctx->model->adapters;
        check_range("adapter scales", n, adapters.size(), adapters.size());
        check_finite("the list of scales", scales, n);
        std::vector<float> copy(scales, scales + n);
        llama_set_adapters_lora(ctx->ctx, adapters.data(), adapters.size(), copy.data());
    });
}

mn_status context_steer(mn_context *ctx, const float *data, size_t n, int32_t first, int32_t last,
                        mn_error *err) {
    return guard(err, [&] {
        const llama_model *model = ctx->model->model;
        int32_t n_embd = llama_model_n_embd(model), n_layer = llama_model_n_layer(model);
        check_range("numbers of a control vector", n, n_embd, (int64_t)n_embd * (n_layer - 1));
        check_range("the first layer", first, 1, n_layer - 1);
        check_range("the last layer", last, first, n_layer - 1);
        check_finite("the control vector", data, n);
        log_capture log;
        if (llama_set_adapter_cvec(ctx->ctx, data, n, n_embd, first, last) != 0) {
            throw failure(MN_ERR_UNSUPPORTED, log.reason("it takes no control vector"));
        }
    });
}

} // namespace mn
