// What the callers in C and C++ share: the measure, and how a result is printed.
#ifndef MEASURE_H
#define MEASURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TEXT "Hello, world!"
#define STORY "Once upon a time, in a small village by the sea, there lived a"

enum {
    SAMPLES = 10000,
    CALLS = 10, // in a sample
    WARM = 10,  // samples that are not kept
    PARTS = 1000,
    STREAM_TOKENS = 256,
    STREAM_REPS = 3,
    REQUESTS = 16,
    REQUEST_TOKENS = 64,
    REQUEST_REPS = 2,
};

static inline int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// Times a statement, ten at a time.
#define MEASURE(samples, statement)                        \
    for (int sample = -WARM; sample < SAMPLES; sample++) { \
        int64_t start = now_ns();                          \
        for (int repeat = 0; repeat < CALLS; repeat++) {   \
            statement;                                     \
        }                                                  \
        double each = (double)(now_ns() - start) / CALLS;  \
        if (sample >= 0) {                                 \
            (samples)[sample] = each;                      \
        }                                                  \
    }

static inline void print_samples(const char *name, const double *samples, int count) {
    printf("\"%s\":[", name);
    for (int i = 0; i < count; i++) {
        printf(i == 0 ? "%.10g" : ",%.10g", samples[i]);
    }
    printf("]");
}

static inline void print_two(const char *first, const double *a, const char *second,
                             const double *b, int count) {
    printf("{");
    print_samples(first, a, count);
    printf(",");
    print_samples(second, b, count);
    printf("}\n");
}

#endif
