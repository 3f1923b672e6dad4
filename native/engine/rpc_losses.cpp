#include "rpc_losses.h"

#include <map>
#include <mutex>
#include <string>

namespace {

std::mutex mutex;
std::map<std::string, uint64_t> losses;

} // namespace

uint64_t mullama_rpc_losses(const char *address) {
    std::lock_guard<std::mutex> lock(mutex);
    return losses[address];
}

void mullama_rpc_count_loss(const char *address) {
    std::lock_guard<std::mutex> lock(mutex);
    losses[address]++;
}

bool *mullama_rpc_computing() {
    static thread_local bool computing = false;
    return &computing;
}
