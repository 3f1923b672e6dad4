// What a context and its model take on each device.
#include "facade.h"

#include "llama-ext.h"

namespace mn {

// llama.cpp counts by buffer type. Types of the CPU's that it does not call host memory, those of
// repacked weights, are this machine's memory all the same.
void measure(llama_context *ctx, std::vector<mn_memory> &out) {
    const llama_model *model = llama_get_model(ctx);
    std::vector<ggml_backend_dev_t> devices;
    for (int32_t i = 0; i < (int32_t)llama_model_n_devices(model); i++) {
        devices.push_back(llama_model_get_device(model, i));
    }
    out.assign(devices.size() + 1, {});
    for (const auto &[buft, bytes] : llama_get_memory_breakdown(ctx)) {
        ggml_backend_dev_t dev = ggml_backend_buft_get_device(buft);
        auto found = ggml_backend_buft_is_host(buft)
                         ? devices.end()
                         : std::find(devices.begin(), devices.end(), dev);
        mn_memory &m = out[found - devices.begin()];
        m.model += bytes.model;
        m.context += bytes.context;
        m.compute += bytes.compute;
    }
    devices.push_back(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
    for (size_t i = 0; i < devices.size(); i++) {
        if (!devices[i]) {
            continue;
        }
        size_t free = 0, total = 0;
        ggml_backend_dev_memory(devices[i], &free, &total);
        out[i].free = free;
        out[i].total = total;
        bool host = i + 1 == devices.size();
        snprintf(out[i].device, sizeof(out[i].device), "%s",
                 host ? "host" : ggml_backend_dev_name(devices[i]));
    }
}

} // namespace mn
