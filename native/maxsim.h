// What the files of late interaction share: the kernels that this library has, for all CPUs that it
// may run on. They are chosen at run time, so each function says for itself what it is built for
// and this header, which all of them read, has no code.
//
// A kernel multiplies a panel of query tokens with a few document tokens. In a panel the same
// number of all query tokens lies side by side, one in each lane of a vector, so that a number of
// a document meets all of them in one instruction and the largest product of each query token is
// found without looking across lanes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mn {

// Memory to fetch while a block is computed: a line every `step` bytes, as often as a vector has
// numbers. A CPU's own prefetching ends with each page, and sees nothing of vectors that were
// decoded in between.
struct maxsim_fetch {
    const char *from;
    size_t step;
};

// The arguments of one block: `panel` is [dim][lanes] floats, `rows` the document tokens one after
// the other. Where products are kept, out is [tokens][lanes]; else it is [lanes] and is raised to
// the largest of each lane.
using maxsim_f32_fn = void (*)(const float *panel, const float *rows, int32_t dim,
                               maxsim_fetch fetch, float *out);

// The same for integers: `panel` is [dim / 4][lanes][4], `bias` -128 times the sum of each lane,
// and `rows` are numbers to which 128 was added, dim of them, a multiple of 4. The products are
// multiplied by the token's scale. `step` is for each fourth number here.
using maxsim_i8_fn = void (*)(const int8_t *panel, const int32_t *bias, const uint8_t *rows,
                              int32_t dim, const float *scales, maxsim_fetch fetch, float *out);

// The same for all tokens of a document, on a CPU that multiplies tiles of 16 x 64 bytes: dim is a
// multiple of 64. `spare` has room for 32 tokens, and `fetch` says how far ahead to fetch.
struct maxsim_tiles {
    const int8_t *panel;
    const int32_t *bias;
    const uint8_t *rows;
    const float *scales;
    uint8_t *spare;
    float *out;
    size_t fetch;
    int32_t vectors, n_rows, dim;
};

// How a thread's tiles were set up before.
struct maxsim_tile_state {
    alignas(64) uint8_t config[64];
};

struct maxsim_tiles_fns {
    void (*begin)(maxsim_tile_state *before); // of a thread
    void (*max)(const maxsim_tiles &);
    void (*end)(const maxsim_tile_state *before);
};

struct maxsim_kernel {
    const char *name;
    bool (*runs)();  // on this CPU
    int32_t lanes;   // query tokens in a vector
    int32_t vectors; // most vectors in a panel
    int32_t rows;    // most document tokens in a block
    // Each is [vectors][rows]: the function for a panel of so many vectors and a block of so many
    // tokens. i8 is NULL where integers are no faster than floats.
    const maxsim_f32_fn *max_f32;
    const maxsim_f32_fn *dots_f32;
    const maxsim_i8_fn *max_i8;
    void (*from_f16)(const uint16_t *in, int32_t n, float *out);
    void (*from_i8)(const uint8_t *in, int32_t n, float scale, float *out);
    const maxsim_tiles_fns *tiles; // NULL: max_i8 does it all
};

// Best first; each ends with a kernel without a name.
extern const maxsim_kernel maxsim_kernels_x86[];
extern const maxsim_kernel maxsim_kernels_arm[];
extern const maxsim_kernel maxsim_kernels_portable[];

} // namespace mn
