#include "rpc_losses.h"

#include <map>
#include <mutex>
#include <poll.h>

namespace {

struct connection {
    std::string address;
    bool broken = false;
};

std::mutex mutex; // guards both
std::map<int, connection> connections; // by socket
std::map<std::string, uint64_t> losses;

void lose(connection &c) {
    if (!c.broken) {
        c.broken = true;
        losses[c.address]++;
    }
}

// Nothing comes unasked on these connections: what hung up is gone.
bool hung_up(int fd) {
    short events = 0;
#ifdef POLLRDHUP
    events = POLLRDHUP;
#endif
    pollfd p = {fd, events, 0};
    return poll(&p, 1, 0) > 0 && (p.revents & (events | POLLHUP | POLLERR)) != 0;
}

} // namespace

void mullama_rpc_opened(int fd, const char *address) {
    std::lock_guard<std::mutex> lock(mutex);
    connections[fd] = {address};
}

void mullama_rpc_closing(int fd) {
    std::lock_guard<std::mutex> lock(mutex);
    connections.erase(fd);
}

void mullama_rpc_broke(int fd) {
    std::lock_guard<std::mutex> lock(mutex);
    auto found = connections.find(fd);
    if (found != connections.end()) {
        lose(found->second);
    }
}

uint64_t mullama_rpc_losses(const char *address) {
    std::lock_guard<std::mutex> lock(mutex);
    for (auto &[fd, c] : connections) {
        if (!c.broken && c.address == address && hung_up(fd)) {
            lose(c);
        }
    }
    return losses[address];
}

bool *mullama_rpc_computing() {
    static thread_local bool computing = false;
    return &computing;
}
