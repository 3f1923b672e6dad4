// How often the connection to an RPC server was lost, by its address "host:port". Kept in ggml-base,
// which ggml-rpc and the facade share also where backends are plug-ins.
#ifndef MULLAMA_RPC_LOSSES_H
#define MULLAMA_RPC_LOSSES_H

#include <cstdint>

#define MULLAMA_RPC_SHARED __attribute__((visibility("default")))

MULLAMA_RPC_SHARED uint64_t mullama_rpc_losses(const char *address);
MULLAMA_RPC_SHARED void mullama_rpc_count_loss(const char *address);

// Whether this thread computes a graph for another machine: what ggml asserts there must not be
// thrown, as the graph's other threads would wait for this one for ever.
MULLAMA_RPC_SHARED bool *mullama_rpc_computing();

#endif
