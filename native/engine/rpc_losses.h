// The connections of this process to RPC servers, and how often one was lost, by the server's
// address "host:port". Kept in ggml-base, which ggml-rpc and the facade share also where backends
// are plug-ins.
#ifndef MULLAMA_RPC_LOSSES_H
#define MULLAMA_RPC_LOSSES_H

#include <cstdint>
#include <string>

#define MULLAMA_RPC_SHARED __attribute__((visibility("default")))

// A socket is connected to an address, is about to be closed, is found to be broken.
MULLAMA_RPC_SHARED void mullama_rpc_opened(int fd, const char *address);
MULLAMA_RPC_SHARED void mullama_rpc_closing(int fd);
MULLAMA_RPC_SHARED void mullama_rpc_broke(int fd);

// The losses of connections to an address so far, with those that nobody has noticed yet because
// nothing was sent.
MULLAMA_RPC_SHARED uint64_t mullama_rpc_losses(const char *address);

// Whether this thread computes a graph for another machine: what ggml asserts there must not be
// thrown, as the graph's other threads would wait for this one for ever.
MULLAMA_RPC_SHARED bool *mullama_rpc_computing();

#endif
