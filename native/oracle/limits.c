// limits: what this machine can do at most, for benchmarks to be held against.
//
//   limits [threads=1] [bytes=1073741824]
//
// Prints one line of JSON: how fast the threads together read so many bytes (their own parts, again
// and again), and how many multiply-adds of floats and of bytes they do in registers. A number is 0
// where this program does not know the CPU's instructions.
#include "oracle.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif
#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum { max_threads = 256, floats_rounds = 400000, tile_rounds = 20000, repetitions = 7 };

struct limits {
    double read, floats, bytes; // seconds for the work below
};

struct part {
    pthread_t thread;
    pthread_barrier_t *barrier;
    char *memory;
    size_t size;
    struct limits best;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#if defined(__x86_64__)

// One instruction for each of twelve registers, so that none waits for another.
#define TWELVE(instruction)                                        \
    ".irp r, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n\t" instruction \
    " %%zmm31, %%zmm30, %%zmm\\r\n\t.endr"

#define CLOBBERED \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11"

static int lanes; // floats in the widest vector

__attribute__((target("avx512f,avx512vnni"))) static void floats_512(void) {
    __asm__ volatile("vpxord %%zmm30, %%zmm30, %%zmm30\n\tvpxord %%zmm31, %%zmm31, %%zmm31" ::
                         : "xmm30", "xmm31");
    for (int i = 0; i < floats_rounds; i++) {
        __asm__ volatile(TWELVE("vfmadd231ps")::: CLOBBERED);
    }
}

__attribute__((target("avx512f,avx512vnni"))) static void bytes_512(void) {
    __asm__ volatile("vpxord %%zmm30, %%zmm30, %%zmm30\n\tvpxord %%zmm31, %%zmm31, %%zmm31" ::
                         : "xmm30", "xmm31");
    for (int i = 0; i < floats_rounds; i++) {
        __asm__ volatile(TWELVE("vpdpbusd")::: CLOBBERED);
    }
}

__attribute__((target("avx2,fma"))) static void floats_256(void) {
    __m256 sum[12], x = _mm256_setzero_ps();
    for (int j = 0; j < 12; j++) {
        sum[j] = x;
    }
    for (int i = 0; i < floats_rounds; i++) {
#pragma GCC unroll 12
        for (int j = 0; j < 12; j++) {
            sum[j] = _mm256_fmadd_ps(x, x, sum[j]);
            __asm__ volatile("" : "+x"(sum[j]));
        }
    }
}

__attribute__((target("avx2"))) static uint64_t read_256(const char *memory, size_t size) {
    __m256i sum[8];
    for (int j = 0; j < 8; j++) {
        sum[j] = _mm256_setzero_si256();
    }
    for (size_t i = 0; i + 512 <= size; i += 512) {
        const __m256i *line = (const __m256i *)(memory + i);
#pragma GCC unroll 16
        for (int j = 0; j < 16; j++) {
            sum[j % 8] = _mm256_xor_si256(sum[j % 8], _mm256_load_si256(line + j));
        }
    }
    for (int j = 1; j < 8; j++) {
        sum[0] = _mm256_xor_si256(sum[0], sum[j]);
    }
    return (uint64_t)_mm256_extract_epi64(sum[0], 0);
}

static bool has_vnni(void) { return lanes == 16 && __builtin_cpu_supports("avx512vnni"); }

static void detect(void) {
    lanes = __builtin_cpu_supports("avx512f")                                 ? 16
            : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 8
                                                                              : 0;
}

static bool has_tiles(void) {
#if defined(__linux__)
    unsigned a = 0, b = 0, c = 0, d = 0;
    const long request = 0x1023, tile_data = 18; // ARCH_REQ_XCOMP_PERM
    return has_vnni() && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d >> 24 & 3) == 3 &&
           syscall(SYS_arch_prctl, request, tile_data) == 0;
#else
    return false;
#endif
}

// Four products of tiles of 16 x 64 bytes a round, which do not wait for each other.
static void bytes_tiles(void) {
    static const struct {
        uint8_t palette, start, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } __attribute__((aligned(64))) config = {
        .palette = 1,
        .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
        .rows = {16, 16, 16, 16, 16, 16, 16, 16},
    };
    __asm__ volatile("ldtilecfg (%0)\n\ttilezero %%tmm4\n\ttilezero %%tmm5" ::"r"(&config)
                     : "memory");
    for (int i = 0; i < tile_rounds; i++) {
        __asm__ volatile("tdpbusd %tmm5, %tmm4, %tmm0\n\ttdpbusd %tmm5, %tmm4, %tmm1\n\t"
                         "tdpbusd %tmm5, %tmm4, %tmm2\n\ttdpbusd %tmm5, %tmm4, %tmm3");
    }
    __asm__ volatile("tilerelease");
}

static void floats(void) { lanes == 16 ? floats_512() : floats_256(); }
static void bytes(void) { has_tiles() ? bytes_tiles() : bytes_512(); }
static double bytes_macs(void) {
    return has_tiles() ? 4.0 * 16 * 16 * 64 * tile_rounds : 4 * 12.0 * floats_rounds * lanes;
}

#else

static const int lanes = 0;
static void detect(void) {}
static bool has_vnni(void) { return false; }
static double bytes_macs(void) { return 0; }
static void floats(void) {}
static void bytes(void) {}

#endif

// Reads all of a part, eight 64-byte lines a turn.
static uint64_t read_plain(const char *memory, size_t size) {
    const uint64_t *words = (const uint64_t *)memory;
    uint64_t sum[8] = {0};
    for (size_t i = 0; i + 64 <= size / 8; i += 64) {
        for (size_t j = 0; j < 64; j++) {
            sum[j % 8] ^= words[i + j];
        }
    }
    return sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7];
}

static uint64_t read_all(const char *memory, size_t size) {
#if defined(__x86_64__)
    if (lanes >= 8) {
        return read_256(memory, size);
    }
#endif
    return read_plain(memory, size);
}

static volatile uint64_t sink;

static void *measure(void *arg) {
    struct part *p = arg;
    memset(p->memory, 1, p->size);
    p->best = (struct limits){1e9, 1e9, 1e9};
    for (int i = 0; i < repetitions; i++) {
        pthread_barrier_wait(p->barrier);
        double start = now();
        sink = read_all(p->memory, p->size);
        double end = now();
        p->best.read = end - start < p->best.read ? end - start : p->best.read;
        pthread_barrier_wait(p->barrier);
        start = now();
        if (lanes > 0) {
            floats();
        }
        end = now();
        p->best.floats = end - start < p->best.floats ? end - start : p->best.floats;
        if (has_vnni()) {
            start = now();
            bytes();
            end = now();
            p->best.bytes = end - start < p->best.bytes ? end - start : p->best.bytes;
        }
    }
    return NULL;
}

int cmd_limits(int argc, char **argv) {
    size_t threads = (size_t)option(argc, argv, "threads", 1);
    size_t size = (size_t)option(argc, argv, "bytes", 1 << 30);
    if (threads < 1 || threads > max_threads || size / threads < 4096) {
        fprintf(stderr, "threads is 1 to %d, bytes at least 4096 for each\n", max_threads);
        return 2;
    }
    detect();
    size = size / threads / 4096 * 4096;
    static struct part parts[max_threads];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, (unsigned)threads);
    for (size_t i = 0; i < threads; i++) {
        parts[i] =
            (struct part){.barrier = &barrier, .memory = aligned_alloc(4096, size), .size = size};
        if (parts[i].memory == NULL ||
            pthread_create(&parts[i].thread, NULL, measure, &parts[i]) != 0) {
            fprintf(stderr, "not enough memory for %zu threads\n", threads);
            return 1;
        }
    }
    struct limits sum = {0, 0, 0};
    double macs = 12.0 * floats_rounds * lanes;
    for (size_t i = 0; i < threads; i++) {
        pthread_join(parts[i].thread, NULL);
        sum.read += (double)size / parts[i].best.read / 1e9;
        sum.floats += macs / parts[i].best.floats / 1e9;
        sum.bytes += has_vnni() ? bytes_macs() / parts[i].best.bytes / 1e9 : 0;
    }
    printf("{\"read_gbs\": %.3f, \"floats_gmacs\": %.3f, \"bytes_gmacs\": %.3f}\n", sum.read,
           sum.floats, sum.bytes);
    return 0;
}
