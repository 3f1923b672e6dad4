// The kernels of late interaction for 64-bit ARM.
#include "maxsim.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace mn {

namespace {

#if defined(__clang__)
#define DOTPROD __attribute__((target("dotprod")))
#else
#define DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))
#endif

template <bool max, int V, int T>
void f32_neon(const float *panel, const float *rows, int32_t dim, maxsim_fetch fetch, float *out) {
    float32x4_t sum[T][V];
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            sum[t][v] = vdupq_n_f32(0);
        }
    }
    for (int32_t k = 0; k < dim; k++) {
        float32x4_t q[V];
        __builtin_prefetch(fetch.from);
        fetch.from += fetch.step;
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            q[v] = vld1q_f32(panel + (k * V + v) * 4);
        }
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) {
            float32x4_t d = vld1q_dup_f32(rows + (size_t)t * dim + k);
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) {
                sum[t][v] = vfmaq_f32(sum[t][v], d, q[v]);
            }
        }
    }
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            float *to = out + (max ? v : t * V + v) * 4;
            vst1q_f32(to, max ? vmaxq_f32(sum[t][v], vld1q_f32(to)) : sum[t][v]);
        }
    }
}

// Both sides are signed here, so 128 is taken away from the document's numbers again.
template <int V, int T>
DOTPROD void i8_neon(const int8_t *panel, const int32_t *, const uint8_t *rows, int32_t dim,
                     const float *scales, maxsim_fetch fetch, float *out) {
    int32x4_t sum[T][V];
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            sum[t][v] = vdupq_n_s32(0);
        }
    }
    const uint8x16_t flip = vdupq_n_u8(128);
    for (int32_t k = 0; k < dim; k += 4) {
        int8x16_t q[V];
        __builtin_prefetch(fetch.from);
        fetch.from += fetch.step;
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            q[v] = vld1q_s8(panel + (k * V + v * 4) * 4);
        }
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) {
            uint32_t four;
            __builtin_memcpy(&four, rows + (size_t)t * dim + k, 4);
            uint8x16_t codes = vreinterpretq_u8_u32(vdupq_n_u32(four));
            int8x16_t d = vreinterpretq_s8_u8(veorq_u8(codes, flip));
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) {
                sum[t][v] = vdotq_s32(sum[t][v], d, q[v]);
            }
        }
    }
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            float32x4_t s = vmulq_n_f32(vcvtq_f32_s32(sum[t][v]), scales[t]);
            vst1q_f32(out + v * 4, vmaxq_f32(vld1q_f32(out + v * 4), s));
        }
    }
}

void from_f16_neon(const uint16_t *in, int32_t n, float *out) {
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        vst1q_f32(out + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(in + i))));
    }
    for (; i < n; i++) {
        float32x4_t four = vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(in[i])));
        out[i] = vgetq_lane_f32(four, 0);
    }
}

void from_i8_neon(const uint8_t *in, int32_t n, float scale, float *out) {
    for (int32_t i = 0; i < n; i++) { // compilers turn this into vectors
        out[i] = (float)(in[i] - 128) * scale;
    }
}

#define BLOCKS_4(f, ...) f<__VA_ARGS__, 1>, f<__VA_ARGS__, 2>, f<__VA_ARGS__, 3>, f<__VA_ARGS__, 4>

const maxsim_f32_fn max_neon[] = {BLOCKS_4(f32_neon, true, 1), BLOCKS_4(f32_neon, true, 2),
                                  BLOCKS_4(f32_neon, true, 3), BLOCKS_4(f32_neon, true, 4)};
const maxsim_f32_fn dots_neon[] = {BLOCKS_4(f32_neon, false, 1), BLOCKS_4(f32_neon, false, 2),
                                   BLOCKS_4(f32_neon, false, 3), BLOCKS_4(f32_neon, false, 4)};
const maxsim_i8_fn max_i8_neon[] = {BLOCKS_4(i8_neon, 1), BLOCKS_4(i8_neon, 2),
                                    BLOCKS_4(i8_neon, 3), BLOCKS_4(i8_neon, 4)};

bool always() { return true; }

bool has_dotprod() {
#if defined(__linux__)
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#elif defined(__APPLE__)
    return true; // all of Apple's own processors for computers have it
#else
    return false;
#endif
}

} // namespace

const maxsim_kernel maxsim_kernels_arm[] = {
    {"neon-dotprod", has_dotprod, 4, 4, 4, max_neon, dots_neon, max_i8_neon, from_f16_neon,
     from_i8_neon},
    {"neon", always, 4, 4, 4, max_neon, dots_neon, nullptr, from_f16_neon, from_i8_neon},
    {},
};

} // namespace mn

#else

const mn::maxsim_kernel mn::maxsim_kernels_arm[] = {{}};

#endif
