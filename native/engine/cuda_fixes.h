// Comes in front of ggml-cuda.cu, which decides how matrices are multiplied.
//
// For quantised weights ggml always takes its own integer kernels on NVIDIA's newer GPUs. On Hopper
// they are the fastest for few tokens, but for more it pays to turn the weights into half floats
// and leave the product to cuBLAS. One H200, Llama 3.2 1B's shape in Q4_K_M, milliseconds for so
// many tokens at once:
//
//              64    128    192    256    384    512   1024   2048
//   ggml      4.2    6.5    6.9    8.6   12.0   14.0   26.2   49.8
//   cuBLAS    4.9    5.9    7.0    8.0    9.2   10.7   19.9   43.5
//
// cuBLAS must then add up in floats. ggml lets it do so on some GPUs; on Hopper it costs nothing.
#ifndef MULLAMA_CUDA_FIXES_H
#define MULLAMA_CUDA_FIXES_H

#include "common.cuh"
#include "mmq.cuh"

static inline bool mullama_is_hopper(int cc) {
    return GGML_CUDA_CC_IS_NVIDIA(cc) && cc >= 900 && cc < 1000;
}

static inline bool mullama_should_use_mmq(enum ggml_type type, int cc, int64_t n_tokens,
                                          int64_t n_experts) {
    constexpr int64_t most_tokens = 192;
    if (n_experts == 0 && n_tokens > most_tokens && mullama_is_hopper(cc)) {
        return false;
    }
    return ggml_cuda_should_use_mmq(type, cc, n_tokens, n_experts);
}
#define ggml_cuda_should_use_mmq mullama_should_use_mmq

#undef GGML_CUDA_CC_IS_RDNA4
#define GGML_CUDA_CC_IS_RDNA4(cc) ((cc) >= GGML_CUDA_CC_RDNA4 || mullama_is_hopper(cc))

#endif
