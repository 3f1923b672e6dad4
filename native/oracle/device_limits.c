// device-limits: how fast a device of ggml's reads and writes its memory, for benchmarks to be held
// against.
//
//   device-limits DEVICE [bytes=1073741824]
//
// Copies half of so many bytes onto the other half and back, and prints a line of JSON with the
// bytes read and written a second, of the fastest turn.
#include "ggml-alloc.h"
#include "oracle.h"

#include <stdio.h>

enum { copies = 8, turns = 10 };

static double measure(ggml_backend_t backend, struct ggml_cgraph *graph, double bytes) {
    double best = 0;
    for (int i = 0; i < turns; i++) {
        int64_t start = ggml_time_us();
        if (ggml_backend_graph_compute(backend, graph) != GGML_STATUS_SUCCESS) {
            return 0;
        }
        int64_t us = ggml_time_us() - start;
        double speed = bytes / (us > 0 ? (double)us : 1) * 1e6;
        best = speed > best ? speed : best;
    }
    return best;
}

int cmd_device_limits(int argc, char **argv) {
    ggml_backend_dev_t device = argc > 1 ? ggml_backend_dev_by_name(argv[1]) : NULL;
    int64_t bytes = (int64_t)option(argc, argv, "bytes", 1 << 30) / 2 / 4096 * 4096;
    if (device == NULL || bytes < 4096) {
        fprintf(stderr, "name a device that there is, and at least 8192 bytes\n");
        return 2;
    }
    ggml_backend_t backend = ggml_backend_dev_init(device, NULL);
    struct ggml_init_params params = {64 * ggml_tensor_overhead() + ggml_graph_overhead(), NULL,
                                      true};
    struct ggml_context *ctx = ggml_init(params);
    struct ggml_tensor *side[2];
    for (int i = 0; i < 2; i++) {
        side[i] = ggml_new_tensor_1d(ctx, GGML_TYPE_F32, bytes / 4);
    }
    struct ggml_cgraph *graph = ggml_new_graph(ctx);
    for (int i = 0; i < copies; i++) {
        ggml_build_forward_expand(graph, ggml_cpy(ctx, side[i % 2], side[(i + 1) % 2]));
    }
    ggml_backend_buffer_t memory = backend ? ggml_backend_alloc_ctx_tensors(ctx, backend) : NULL;
    double speed = 0;
    if (memory != NULL) {
        ggml_backend_buffer_clear(memory, 0);
        speed = measure(backend, graph, 2.0 * copies * (double)bytes);
    }
    ggml_backend_buffer_free(memory);
    ggml_free(ctx);
    ggml_backend_free(backend);
    if (speed == 0) {
        fprintf(stderr, "device %s did not copy its memory\n", argv[1]);
        return 1;
    }
    printf("{\"copy_gbs\": %.3f}\n", speed / 1e9);
    return 0;
}
