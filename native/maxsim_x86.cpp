// The kernels of late interaction for x86-64. Nothing here may be built for more than its own
// attribute says: the library must load on any CPU.
#include "maxsim.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(__GNUC__) && !defined(__clang__)
// GCC's own header makes undefined vectors by reading one that has no value yet.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace mn {

namespace {

// A block must have enough sums to hide the latency of a multiply-add (four cycles, two a cycle),
// and all of them must stay in registers: 32 of AVX-512, 16 of AVX2.
constexpr int32_t rows_512 = 12;
constexpr int32_t rows_256 = 6;

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c")))
#define AVX512_VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define AVX2 __attribute__((target("avx2,fma,f16c")))
#define AVX2_VNNI __attribute__((target("avx2,fma,avxvnni")))

// Sums of integers have a type of their own: GCC keeps an array of __m512i in memory, where each
// change of it is then written.
using ints_512 = int32_t __attribute__((vector_size(64)));
using ints_256 = int32_t __attribute__((vector_size(32)));

inline int32_t load_4(const uint8_t *p) {
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return four;
}

template <bool max, int V, int T>
AVX512 void f32_512(const float *panel, const float *rows, int32_t dim, maxsim_fetch fetch,
                    float *out) {
    __m512 sum[T][V];
#pragma GCC unroll 16
    for (int t = 0; t < T; t++) {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            sum[t][v] = _mm512_setzero_ps();
        }
    }
    for (int32_t k = 0; k < dim; k++) {
        __m512 q[V];
        _mm_prefetch(fetch.from, _MM_HINT_T0);
        fetch.from += fetch.step;
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            q[v] = _mm512_load_ps(panel + (k * V + v) * 16);
        }
#pragma GCC unroll 16
        for (int t = 0; t < T; t++) {
            __m512 d = _mm512_set1_ps(rows[(size_t)t * dim + k]);
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) {
                sum[t][v] = _mm512_fmadd_ps(d, q[v], sum[t][v]);
            }
        }
    }
#pragma GCC unroll 16
    for (int t = 0; t < T; t++) {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            float *to = out + (max ? v : t * V + v) * 16;
            _mm512_storeu_ps(to, max ? _mm512_max_ps(sum[t][v], _mm512_loadu_ps(to)) : sum[t][v]);
        }
    }
}

template <int V, int T>
AVX512_VNNI void i8_512(const int8_t *panel, const int32_t *bias, const uint8_t *rows, int32_t dim,
                        const float *scales, maxsim_fetch fetch, float *out) {
    ints_512 sum[T][V];
#pragma GCC unroll 16
    for (int t = 0; t < T; t++) {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            sum[t][v] = (ints_512)_mm512_load_si512(bias + v * 16);
        }
    }
    for (int32_t k = 0; k < dim; k += 4) {
        __m512i q[V];
        _mm_prefetch(fetch.from, _MM_HINT_T0);
        fetch.from += fetch.step;
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            q[v] = _mm512_load_si512(panel + (k * V + v * 4) * 16);
        }
#pragma GCC unroll 16
        for (int t = 0; t < T; t++) {
            __m512i d = _mm512_set1_epi32(load_4(rows + (size_t)t * dim + k));
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) {
                sum[t][v] = (ints_512)_mm512_dpbusd_epi32((__m512i)sum[t][v], d, q[v]);
            }
        }
    }
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
        __m512 best = _mm512_loadu_ps(out + v * 16);
#pragma GCC unroll 16
        for (int t = 0; t < T; t++) {
            __m512 s =
                _mm512_mul_ps(_mm512_cvtepi32_ps((__m512i)sum[t][v]), _mm512_set1_ps(scales[t]));
            best = _mm512_max_ps(best, s);
        }
        _mm512_storeu_ps(out + v * 16, best);
    }
}

AVX512 void f16_512(const uint16_t *in, int32_t n, float *out) {
    int32_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i h = _mm256_loadu_si256((const __m256i *)(in + i));
        _mm512_storeu_ps(out + i, _mm512_cvtph_ps(h));
    }
    if (i < n) {
        __mmask16 rest = (__mmask16)((1u << (n - i)) - 1);
        __m256i h = _mm256_maskz_loadu_epi16(rest, in + i);
        _mm512_mask_storeu_ps(out + i, rest, _mm512_cvtph_ps(h));
    }
}

AVX512 void i8_to_f32_512(const uint8_t *in, int32_t n, float scale, float *out) {
    const __m512i zero = _mm512_set1_epi32(128);
    const __m512 by = _mm512_set1_ps(scale);
    for (int32_t i = 0; i < n; i += 16) {
        __mmask16 some = n - i >= 16 ? 0xffff : (__mmask16)((1u << (n - i)) - 1);
        __m512i wide = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(some, in + i));
        __m512 f = _mm512_cvtepi32_ps(_mm512_sub_epi32(wide, zero));
        _mm512_mask_storeu_ps(out + i, some, _mm512_mul_ps(f, by));
    }
}

template <bool max, int V, int T>
AVX2 void f32_256(const float *panel, const float *rows, int32_t dim, maxsim_fetch fetch,
                  float *out) {
    __m256 sum[T][V];
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            sum[t][v] = _mm256_setzero_ps();
        }
    }
    for (int32_t k = 0; k < dim; k++) {
        __m256 q[V];
        _mm_prefetch(fetch.from, _MM_HINT_T0);
        fetch.from += fetch.step;
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            q[v] = _mm256_load_ps(panel + (k * V + v) * 8);
        }
#pragma GCC unroll 8
        for (int t = 0; t < T; t++) {
            __m256 d = _mm256_broadcast_ss(rows + (size_t)t * dim + k);
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) {
                sum[t][v] = _mm256_fmadd_ps(d, q[v], sum[t][v]);
            }
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            float *to = out + (max ? v : t * V + v) * 8;
            _mm256_storeu_ps(to, max ? _mm256_max_ps(sum[t][v], _mm256_loadu_ps(to)) : sum[t][v]);
        }
    }
}

template <int V, int T>
AVX2_VNNI void i8_256(const int8_t *panel, const int32_t *bias, const uint8_t *rows, int32_t dim,
                      const float *scales, maxsim_fetch fetch, float *out) {
    ints_256 sum[T][V];
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            sum[t][v] = (ints_256)_mm256_load_si256((const __m256i *)(bias + v * 8));
        }
    }
    for (int32_t k = 0; k < dim; k += 4) {
        __m256i q[V];
        _mm_prefetch(fetch.from, _MM_HINT_T0);
        fetch.from += fetch.step;
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            q[v] = _mm256_load_si256((const __m256i *)(panel + (k * V + v * 4) * 8));
        }
#pragma GCC unroll 8
        for (int t = 0; t < T; t++) {
            __m256i d = _mm256_set1_epi32(load_4(rows + (size_t)t * dim + k));
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) {
                sum[t][v] = (ints_256)_mm256_dpbusd_avx_epi32((__m256i)sum[t][v], d, q[v]);
            }
        }
    }
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
        __m256 best = _mm256_loadu_ps(out + v * 8);
#pragma GCC unroll 8
        for (int t = 0; t < T; t++) {
            __m256 s =
                _mm256_mul_ps(_mm256_cvtepi32_ps((__m256i)sum[t][v]), _mm256_set1_ps(scales[t]));
            best = _mm256_max_ps(best, s);
        }
        _mm256_storeu_ps(out + v * 8, best);
    }
}

AVX2 void f16_256(const uint16_t *in, int32_t n, float *out) {
    int32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(in + i))));
    }
    for (; i < n; i++) {
        out[i] = _cvtsh_ss(in[i]);
    }
}

AVX2 void i8_to_f32_256(const uint8_t *in, int32_t n, float scale, float *out) {
    const __m256i zero = _mm256_set1_epi32(128);
    const __m256 by = _mm256_set1_ps(scale);
    int32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(in + i)));
        __m256 f = _mm256_cvtepi32_ps(_mm256_sub_epi32(wide, zero));
        _mm256_storeu_ps(out + i, _mm256_mul_ps(f, by));
    }
    for (; i < n; i++) {
        out[i] = (float)(in[i] - 128) * scale;
    }
}

// Tiles are used through assembly: the intrinsics of GCC before 15 do not say what they read.
template <int tile> inline void tile_load(const void *from, size_t step) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(step), "i"(tile) : "memory");
}

template <int tile> inline void tile_store(void *to) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"((size_t)64), "i"(tile)
                     : "memory");
}

template <int sum, int rows, int panel> inline void tile_multiply() {
    __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sum), "i"(rows), "i"(panel));
}

// ggml sets its tiles up once in a thread and then relies on that, so what was there comes back.
void tiles_begin(maxsim_tile_state *before) {
    alignas(64) static const uint8_t config[64] = {
        1,  0,  0,  0,  0,  0,  0,  0,  0,  0, 0,  0, 0,  0, 0,  0, // palette 1
        64, 0,  64, 0,  64, 0,  64, 0,  64, 0, 64, 0, 64, 0, 64, 0, // bytes of a row
        0,  0,  0,  0,  0,  0,  0,  0,  0,  0, 0,  0, 0,  0, 0,  0, //
        16, 16, 16, 16, 16, 16, 16, 16,                             // rows
    };
    __asm__ volatile("sttilecfg (%0)" ::"r"(before->config) : "memory");
    __asm__ volatile("ldtilecfg (%0)" ::"r"(config) : "memory");
}

void tiles_end(const maxsim_tile_state *before) {
    __asm__ volatile("ldtilecfg (%0)" ::"r"(before->config) : "memory");
}

// Raises the largest products of 16 lanes by those of some rows.
AVX512 inline void raise(const int32_t *sums, const float *scales, int32_t n, float *out) {
    __m512 best = _mm512_loadu_ps(out), other = best;
    for (int32_t t = 0; t < n; t += 2) {
        int32_t u = t + 1 < n ? t + 1 : t;
        __m512 a = _mm512_cvtepi32_ps(_mm512_load_si512(sums + (size_t)t * 16));
        __m512 b = _mm512_cvtepi32_ps(_mm512_load_si512(sums + (size_t)u * 16));
        best = _mm512_max_ps(best, _mm512_mul_ps(a, _mm512_set1_ps(scales[t])));
        other = _mm512_max_ps(other, _mm512_mul_ps(b, _mm512_set1_ps(scales[u])));
    }
    _mm512_storeu_ps(out, _mm512_max_ps(best, other));
}

// Multiplies 32 rows with a panel: tiles 0 to 3 are sums, 4 and 5 rows, 6 and 7 of the panel.
template <int V>
AVX512 void tiles_32(const maxsim_tiles &a, const uint8_t *rows, const float *scales, int32_t n) {
    alignas(64) int32_t sums[4][256];
    tile_load<0>(a.bias, 0);
    tile_load<2>(a.bias, 0);
    if constexpr (V == 2) {
        tile_load<1>(a.bias + 16, 0);
        tile_load<3>(a.bias + 16, 0);
    }
    for (int32_t k = 0; k < a.dim; k += 64) {
        const int8_t *panel = a.panel + (size_t)k * V * 16;
        tile_load<4>(rows + k, a.dim);
        tile_load<5>(rows + (size_t)16 * a.dim + k, a.dim);
        tile_load<6>(panel, V * 64);
        tile_multiply<0, 4, 6>();
        tile_multiply<2, 5, 6>();
        if constexpr (V == 2) {
            tile_load<7>(panel + 64, V * 64);
            tile_multiply<1, 4, 7>();
            tile_multiply<3, 5, 7>();
        }
    }
    tile_store<0>(sums[0]);
    tile_store<2>(sums[2]);
    if constexpr (V == 2) {
        tile_store<1>(sums[1]);
        tile_store<3>(sums[3]);
    }
    for (int32_t v = 0; v < V; v++) {
        raise(sums[v], scales, n < 16 ? n : 16, a.out + v * 16);
        if (n > 16) {
            raise(sums[2 + v], scales + 16, n - 16, a.out + v * 16);
        }
    }
}

void tiles_max(const maxsim_tiles &a) {
    for (int32_t at = 0; at < a.n_rows; at += 32) {
        const uint8_t *rows = a.rows + (size_t)at * a.dim;
        int32_t n = a.n_rows - at < 32 ? a.n_rows - at : 32;
        for (int32_t i = 0; i < n * a.dim; i += 64) {
            _mm_prefetch((const char *)((uintptr_t)rows + a.fetch + (size_t)i), _MM_HINT_T0);
        }
        if (n < 32) { // what is behind the document may be nobody's
            __builtin_memcpy(a.spare, rows, (size_t)n * a.dim);
            rows = a.spare;
        }
        if (a.vectors == 2) {
            tiles_32<2>(a, rows, a.scales + at, n);
        } else {
            tiles_32<1>(a, rows, a.scales + at, n);
        }
    }
}

const maxsim_tiles_fns tiles_amx = {tiles_begin, tiles_max, tiles_end};

#define BLOCKS_6(f, ...)                                                                           \
    f<__VA_ARGS__, 1>, f<__VA_ARGS__, 2>, f<__VA_ARGS__, 3>, f<__VA_ARGS__, 4>, f<__VA_ARGS__, 5>, \
        f<__VA_ARGS__, 6>
#define BLOCKS_12(f, ...)                                                              \
    BLOCKS_6(f, __VA_ARGS__), f<__VA_ARGS__, 7>, f<__VA_ARGS__, 8>, f<__VA_ARGS__, 9>, \
        f<__VA_ARGS__, 10>, f<__VA_ARGS__, 11>, f<__VA_ARGS__, 12>

const maxsim_f32_fn max_512[] = {BLOCKS_12(f32_512, true, 1), BLOCKS_12(f32_512, true, 2)};
const maxsim_f32_fn dots_512[] = {BLOCKS_12(f32_512, false, 1), BLOCKS_12(f32_512, false, 2)};
const maxsim_i8_fn max_i8_512[] = {BLOCKS_12(i8_512, 1), BLOCKS_12(i8_512, 2)};
const maxsim_f32_fn max_256[] = {BLOCKS_6(f32_256, true, 1), BLOCKS_6(f32_256, true, 2)};
const maxsim_f32_fn dots_256[] = {BLOCKS_6(f32_256, false, 1), BLOCKS_6(f32_256, false, 2)};
const maxsim_i8_fn max_i8_256[] = {BLOCKS_6(i8_256, 1), BLOCKS_6(i8_256, 2)};

bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("f16c");
}

bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx512_vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

// A process must ask Linux for the memory of tiles before it uses them.
bool has_amx() {
#if defined(__linux__)
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!has_avx512_vnni() || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d >> 24 & 3) != 3) {
        return false;
    }
    const long request = 0x1023, tile_data = 18; // ARCH_REQ_XCOMP_PERM
    return syscall(SYS_arch_prctl, request, tile_data) == 0;
#else
    return false;
#endif
}

// Compilers learnt this name late.
bool has_avx2_vnni() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
}

} // namespace

const maxsim_kernel maxsim_kernels_x86[] = {
    {"amx", has_amx, 16, 2, rows_512, max_512, dots_512, max_i8_512, f16_512, i8_to_f32_512,
     &tiles_amx},
    {"avx512-vnni", has_avx512_vnni, 16, 2, rows_512, max_512, dots_512, max_i8_512, f16_512,
     i8_to_f32_512, nullptr},
    {"avx512", has_avx512, 16, 2, rows_512, max_512, dots_512, nullptr, f16_512, i8_to_f32_512,
     nullptr},
    {"avx2-vnni", has_avx2_vnni, 8, 2, rows_256, max_256, dots_256, max_i8_256, f16_256,
     i8_to_f32_256, nullptr},
    {"avx2", has_avx2, 8, 2, rows_256, max_256, dots_256, nullptr, f16_256, i8_to_f32_256, nullptr},
    {},
};

} // namespace mn

#else

const mn::maxsim_kernel mn::maxsim_kernels_x86[] = {{}};

#endif
