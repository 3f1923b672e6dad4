// Included by force in front of both files of ggml-rpc, which end the process when the other
// machine goes away: mends that, and what two models on one connection do to each other, without
// touching llama.cpp's sources.
//
// A connection is served by a thread of its own, which sends what other threads put in its queue.
// When it breaks, every message that still waits, or comes later, fails: whoever waits for its
// answer gets an exception. Freeing and synchronizing never throw, as they happen in destructors;
// the loss is counted (rpc_losses.h), and the facade looks at the count around each step.
#ifndef MULLAMA_RPC_FIXES_H
#define MULLAMA_RPC_FIXES_H

#include "rpc_losses.h"

#include "ggml-backend-impl.h"
#include "ggml-impl.h"

// Everything that ggml-rpc includes, so that the words defined below mean nothing in there.
#include <algorithm>
#include <array>
#include <atomic>
#include <cinttypes>
#include <condition_variable>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <queue>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <arpa/inet.h>
#include <cerrno>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

namespace mullama_rpc {

constexpr int patience_ms = 5000; // for a connection, and for each part of its first messages
constexpr size_t greeting_size = 1 + 8 + 24; // what a client sends first: command, size, abilities

// Of one thread: the connection that it serves, or is greeting.
struct thread_state {
    bool broken = false;      // the connection is lost; nothing more is sent or awaited
    bool freeing = false;     // waiting must not throw
    int fd = -1;              // the connection used last
    int greeting_fd = -1;     // a connection whose first messages are due in time
    size_t greeting_left = 0; // bytes
    std::string address;      // of the one connected to last
    std::string reason;       // why it failed
};
inline thread_local thread_state here;

inline std::string address_text(const sockaddr *addr) {
    const auto *in = (const sockaddr_in *)addr;
    char host[INET_ADDRSTRLEN] = "";
    inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
    return std::string(host) + ":" + std::to_string(ntohs(in->sin_port));
}

inline ssize_t failed(const std::string &reason) {
    here.reason = reason;
    return -1;
}

inline std::string error_text(int error) { return std::strerror(error); }

// A machine that vanished without a word is noticed after some 20 seconds.
inline void watch(int fd) {
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
#ifdef __linux__
    int idle = 10, interval = 5, count = 2, unanswered_ms = 20000;
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof(unanswered_ms));
#endif
#ifdef SO_NOSIGPIPE
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
#endif
}

inline bool ready(int fd, short event) {
    pollfd p = {fd, event, 0};
    int n;
    do {
        n = poll(&p, 1, patience_ms);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

// What a failure is called, after the function of ggml-rpc in which it is found.
inline std::string sentence(const std::string &function, const std::string &text) {
    std::string who = "the RPC server " + here.address, why = here.reason;
    here.reason.clear();
    if (function == "negotiate_hello") {
        return why.empty() ? "what listens on " + here.address + " is no RPC server of llama.cpp"
                           : who + " does not answer as one of llama.cpp: " + why;
    }
    if (text.find("Failed to connect") == 0) {
        return who + " cannot be reached: " + (why.empty() ? "no connection" : why);
    }
    if (text.find("RPC handshake failed") == 0) {
        return who + " is of another version of llama.cpp, whose protocol is different";
    }
    return text;
}

// Ends a thread's use of a connection. In work() the thread goes on and answers every message with
// a failure; elsewhere the caller gets an exception.
inline void give_up(const char *function, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (std::strcmp(function, "work") != 0) {
        throw std::runtime_error(sentence(function, text));
    }
    here.broken = true;
    mullama_rpc_broke(here.fd);
}

class outcome {
  public:
    outcome() = default;
    explicit outcome(std::shared_future<void> done) : done_(std::move(done)) {}
    outcome share() const { return *this; }
    void wait() const {
        if (here.freeing) {
            done_.wait();
        } else {
            done_.get(); // throws when the connection was lost
        }
    }

  private:
    std::shared_future<void> done_;
};

class promise {
  public:
    outcome get_future() { return outcome(done_.get_future().share()); }
    void set_value() {
        if (here.broken) {
            done_.set_exception(std::make_exception_ptr(
                std::runtime_error("the connection to the RPC server was lost")));
        } else {
            done_.set_value();
        }
    }

  private:
    std::promise<void> done_;
};

class freeing {
  public:
    freeing() : before_(here.freeing) { here.freeing = true; }
    ~freeing() { here.freeing = before_; }

  private:
    bool before_;
};

// What the server would print goes to the log.
inline void say(const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    GGML_LOG_DEBUG("%s", text);
}

inline ggml_status compute(ggml_backend_t backend, ggml_cgraph *graph) {
    struct mark {
        mark() { *mullama_rpc_computing() = true; }
        ~mark() { *mullama_rpc_computing() = false; }
    } computing;
    return ggml_backend_graph_compute(backend, graph);
}

// The other machine keeps each device's last graph, to be computed again by name alone; freeing any
// buffer makes it forget them, which this side does not know. So after one the graph is sent anew.
// The lock keeps the messages of two models in the order in which they looked at what is kept.
inline std::mutex graphs_mutex;
inline uint64_t frees = 0;
inline std::unordered_map<ggml_backend_dev_t, uint64_t> frees_at_graph;

} // namespace mullama_rpc

// Names that ggml-rpc's sources write behind std::.
namespace std {
template <typename> using mullama_promise = ::mullama_rpc::promise;
template <typename> using mullama_future = ::mullama_rpc::outcome;
} // namespace std
#define promise mullama_promise
#define shared_future mullama_future

#undef GGML_ABORT
#define GGML_ABORT(...) mullama_rpc::give_up(__func__, __VA_ARGS__)
#define printf mullama_rpc::say
#define ggml_backend_graph_compute mullama_rpc::compute

// --- sockets: no signal, no waiting for ever, and who it was ------------------------------------

static inline ssize_t mullama_send(int fd, const void *data, size_t size, int flags) {
    mullama_rpc::here.fd = fd;
    if (mullama_rpc::here.broken) {
        return -1;
    }
#ifdef MSG_NOSIGNAL
    flags |= MSG_NOSIGNAL;
#endif
    ssize_t n;
    do {
        n = send(fd, data, size, flags);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? mullama_rpc::failed(mullama_rpc::error_text(errno)) : n;
}

static inline ssize_t mullama_recv(int fd, void *data, size_t size, int flags) {
    auto &here = mullama_rpc::here;
    here.fd = fd;
    if (here.broken) {
        return -1;
    }
    bool greeting = here.greeting_fd == fd && here.greeting_left > 0;
    if (greeting && !mullama_rpc::ready(fd, POLLIN)) {
        return mullama_rpc::failed("no answer within 5 seconds");
    }
    ssize_t n;
    do {
        n = recv(fd, data, size, flags);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        mullama_rpc::failed(n == 0 ? "it closed the connection" : mullama_rpc::error_text(errno));
        return n;
    }
    if (greeting) {
        here.greeting_left -= std::min(here.greeting_left, (size_t)n);
    }
    return n;
}

static inline int mullama_connect(int fd, const sockaddr *addr, socklen_t len) {
    auto &here = mullama_rpc::here;
    here.address = mullama_rpc::address_text(addr);
    here.reason.clear();
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    int error = connect(fd, addr, len) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
        socklen_t size = sizeof(error);
        if (!mullama_rpc::ready(fd, POLLOUT)) {
            error = ETIMEDOUT;
        } else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
            error = errno;
        }
    }
    fcntl(fd, F_SETFL, flags);
    if (error != 0) {
        here.reason = mullama_rpc::error_text(error);
        close(fd); // ggml-rpc forgets to
        return -1;
    }
    mullama_rpc::watch(fd);
    mullama_rpc_opened(fd, here.address.c_str());
    here.greeting_fd = fd;
    here.greeting_left = SIZE_MAX; // another thread takes over afterwards
    return 0;
}

static inline int mullama_accept(int fd, sockaddr *addr, socklen_t *len) {
    int client;
    do {
        client = accept(fd, addr, len);
    } while (client < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (client >= 0) {
        mullama_rpc::watch(client);
        mullama_rpc::here.greeting_fd = client;
        mullama_rpc::here.greeting_left = mullama_rpc::greeting_size;
    }
    return client;
}

static inline int mullama_close(int fd) {
    mullama_rpc_closing(fd);
    return close(fd);
}

#define send mullama_send
#define recv mullama_recv
#define connect mullama_connect
#define accept mullama_accept
#define close mullama_close

// --- functions of ggml-rpc that ours stand in front of ------------------------------------------
//
// Their definitions are followed by a parenthesis, so they get the names that these macros give;
// the tables of functions name them without one, and so name ours.
#ifdef MULLAMA_RPC_BACKEND

static void mullama_free_buffer(ggml_backend_buffer_t buffer);
static void ggml_backend_rpc_buffer_free_buffer(ggml_backend_buffer_t buffer) {
    std::lock_guard<std::mutex> lock(mullama_rpc::graphs_mutex);
    mullama_rpc::freeing quiet;
    mullama_rpc::frees++;
    mullama_free_buffer(buffer);
}
#define ggml_backend_rpc_buffer_free_buffer(buffer) mullama_free_buffer(buffer)

static ggml_status mullama_graph_compute(ggml_backend_t backend, ggml_cgraph *graph);
static ggml_status ggml_backend_rpc_graph_compute(ggml_backend_t backend, ggml_cgraph *graph) {
    std::lock_guard<std::mutex> lock(mullama_rpc::graphs_mutex);
    auto &seen = mullama_rpc::frees_at_graph[backend->device];
    uint64_t uid = graph->uid;
    if (seen != mullama_rpc::frees) {
        seen = mullama_rpc::frees;
        graph->uid = 0; // no name: it is sent whole
    }
    ggml_status status = mullama_graph_compute(backend, graph);
    graph->uid = uid;
    return status;
}
#define ggml_backend_rpc_graph_compute(backend, graph) mullama_graph_compute(backend, graph)

static void mullama_synchronize(ggml_backend_t backend);
static void ggml_backend_rpc_synchronize(ggml_backend_t backend) {
    mullama_rpc::freeing quiet;
    mullama_synchronize(backend);
}
#define ggml_backend_rpc_synchronize(backend) mullama_synchronize(backend)

static void mullama_event_free(ggml_backend_dev_t device, ggml_backend_event_t event);
static void ggml_backend_rpc_device_event_free(ggml_backend_dev_t device,
                                               ggml_backend_event_t event) {
    mullama_rpc::freeing quiet;
    mullama_event_free(device, event);
}
#define ggml_backend_rpc_device_event_free(device, event) mullama_event_free(device, event)

#endif
#endif
