// Included by force in front of every file of ggml-cpu: mends three things on x86-64 Linux without
// touching llama.cpp's sources.
#ifndef MULLAMA_ENGINE_FIXES_H
#define MULLAMA_ENGINE_FIXES_H
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)
#include <immintrin.h>
#include <sched.h>

// The AMX intrinsics of GCC before 15 do not tell the optimiser what they read: ldtilecfg is said
// to read 8 bytes of 64, tileloadd none. Stores before them are dropped, and the first product
// faults.
#if defined(__AMX_TILE__) && !defined(__clang__)
#undef _tile_loadconfig
#define _tile_loadconfig(config) \
    __asm__ volatile("ldtilecfg %0" ::"m"(*(const char(*)[64])(config)))
#undef _tile_loadd_internal
#define _tile_loadd_internal(dst, base, stride)                              \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #dst ::"r"((const void *)(base)), \
                     "r"((long)(stride))                                     \
                     : "memory")
#endif

// With AVX512-FP16 ggml adds up attention's weighted values 128 numbers at a time, and what is
// left of a row one by one with conversions in software. Heads of 64 numbers are all left over:
// attention then takes three times as long. Without that instruction set it converts to float 16
// numbers at a time, which fits every head and is more exact.
#undef __AVX512FP16__

// ggml's threads wait for each other by spinning, hundreds of times per token. When something else
// wants the core of the thread that is waited for, it may not run until the time slice of the
// spinning one ends. Offering the core after 1024 pauses, some 50 microseconds, costs nothing on a
// quiet machine and keeps a busy one from falling to a twentieth of its speed.
static inline void mullama_pause(void) {
    static __thread unsigned spins;
    __builtin_ia32_pause();
    if ((++spins & 1023) == 0) {
        sched_yield();
    }
}
#undef _mm_pause
#define _mm_pause() mullama_pause()

#endif
#endif
