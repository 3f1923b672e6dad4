// Other machines: using their devices for a model, and offering this one's. How their loss is
// noticed is in engine/rpc_fixes.h.
#include "facade.h"

#include "engine/rpc_losses.h"
#include "ggml-rpc.h"

namespace mn {

namespace {

thread_local bool serving = false;

// In a portable build the backend is a plug-in, so its functions are asked for by name.
template <typename F> F *rpc_function(const char *name) {
    ggml_backend_reg_t reg = ggml_backend_reg_by_name("RPC");
    if (!reg) {
        throw failure(MN_ERR_UNSUPPORTED, "no RPC backend is installed beside the library");
    }
    return (F *)ggml_backend_reg_get_proc_address(reg, name);
}

// The device that stands for all GPUs of a tensor split has no registry.
bool is_remote(ggml_backend_dev_t dev) {
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(dev);
    return reg && std::string_view(ggml_backend_reg_name(reg)) == "RPC";
}

// ggml-rpc keeps what it knows of an address for ever, and a connection while anything uses it.
// What comes back after a loss may have other devices, so it gets an address of its own: ggml-rpc
// reads the port up to the first character that is no digit.
std::string endpoint_of(const rpc_peer &peer) {
    return peer.address + "#" + std::to_string(peer.losses);
}

ggml_backend_reg_t add_server(const rpc_peer &peer) {
    auto *add = rpc_function<decltype(ggml_backend_rpc_add_server)>("ggml_backend_rpc_add_server");
    ggml_backend_reg_t reg = add(endpoint_of(peer).c_str());
    if (!reg) {
        throw failure(MN_ERR_LOST, "the RPC server " + peer.address + " offers no devices");
    }
    return reg;
}

std::string known_devices() {
    std::string names;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        names += (i ? ", " : "") + device_name(ggml_backend_dev_get(i));
    }
    return names;
}

} // namespace

rpc_peer::rpc_peer(const std::string &address)
    : address(address), losses(mullama_rpc_losses(address.c_str())) {
    try {
        ggml_backend_reg_t reg = add_server(*this);
        for (size_t i = 0; i < ggml_backend_reg_dev_count(reg); i++) {
            devices.push_back(ggml_backend_reg_dev_get(reg, i));
        }
        open.reset(ggml_backend_dev_init(devices.front(), nullptr), ggml_backend_free);
    } catch (const failure &) {
        throw;
    } catch (const std::exception &e) {
        throw failure(MN_ERR_LOST, e.what());
    }
}

bool rpc_peer::lost() const { return mullama_rpc_losses(address.c_str()) != losses; }

void check_peers(const mn_model &model) {
    for (const rpc_peer &peer : model.peers) {
        if (peer.lost()) {
            throw failure(MN_ERR_LOST,
                          "the connection to the RPC server " + peer.address + " broke off");
        }
    }
}

// ggml numbers the devices of other machines over all of them; their address says more.
std::string device_name(ggml_backend_dev_t dev) {
    if (!is_remote(dev)) {
        return ggml_backend_dev_name(dev);
    }
    std::string address = ggml_backend_dev_description(dev);
    return "RPC[" + address.substr(0, address.find('#')) + "]";
}

ggml_backend_dev_t find_device(const std::string &name) {
    ggml_backend_dev_t dev = ggml_backend_dev_by_name(name.c_str());
    if (!dev) {
        throw failure(MN_ERR_INVALID,
                      "no device named " + name + "; this machine has " + known_devices());
    }
    return dev;
}

// As llama.cpp chooses them: integrated ones only where there are no others.
std::vector<ggml_backend_dev_t> local_gpus() {
    for (auto type : {GGML_BACKEND_DEVICE_TYPE_GPU, GGML_BACKEND_DEVICE_TYPE_IGPU}) {
        std::vector<ggml_backend_dev_t> found;
        for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
            ggml_backend_dev_t dev = ggml_backend_dev_get(i);
            if (ggml_backend_dev_type(dev) == type) {
                found.push_back(dev);
            }
        }
        if (!found.empty()) {
            return found;
        }
    }
    return {};
}

mn_status rpc_devices(const char *address, mn_device *out, int32_t cap, int32_t *n, mn_error *err) {
    return guard(err, [&] {
        rpc_peer peer(address);
        *n = 0;
        for (ggml_backend_dev_t dev : peer.devices) {
            if (*n < cap) {
                out[(*n)++] = describe(dev);
            }
        }
        if (peer.lost()) {
            throw failure(MN_ERR_LOST,
                          "the connection to the RPC server " + peer.address + " broke off");
        }
    });
}

bool serving_rpc() { return serving && !*mullama_rpc_computing(); }

mn_status rpc_serve(const char *address, const char *cache_dir, int32_t n_threads,
                    const char *const *devices, int32_t n_devices, mn_error *err) {
    serving = true;
    mn_status status = guard(err, [&] {
        auto *start =
            rpc_function<decltype(ggml_backend_rpc_start_server)>("ggml_backend_rpc_start_server");
        std::vector<ggml_backend_dev_t> offered;
        for (int32_t i = 0; i < n_devices; i++) {
            offered.push_back(find_device(devices[i]));
        }
        start(address, cache_dir && *cache_dir ? cache_dir : nullptr,
              n_threads > 0 ? n_threads : common_cpu_get_num_math(), offered.size(),
              offered.data());
        throw failure(MN_ERR_INTERNAL, std::string("the RPC server on ") + address + " ended");
    });
    serving = false;
    return status;
}

} // namespace mn
