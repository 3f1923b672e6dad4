// The kernel of late interaction for any CPU, and the reference of the others' tests.
#include "maxsim.h"

#include "ggml.h"

namespace mn {

namespace {

constexpr int32_t lanes = 8;

template <bool max>
void block(const float *panel, const float *row, int32_t dim, maxsim_fetch, float *out) {
    float sum[lanes] = {};
    for (int32_t k = 0; k < dim; k++) {
        for (int32_t lane = 0; lane < lanes; lane++) {
            sum[lane] += row[k] * panel[k * lanes + lane];
        }
    }
    for (int32_t lane = 0; lane < lanes; lane++) {
        out[lane] = max && out[lane] > sum[lane] ? out[lane] : sum[lane];
    }
}

const maxsim_f32_fn max_f32[] = {block<true>};
const maxsim_f32_fn dots_f32[] = {block<false>};

bool always() { return true; }

void from_f16(const uint16_t *in, int32_t n, float *out) { ggml_fp16_to_fp32_row(in, out, n); }

void from_i8(const uint8_t *in, int32_t n, float scale, float *out) {
    for (int32_t i = 0; i < n; i++) {
        out[i] = (float)(in[i] - 128) * scale;
    }
}

} // namespace

const maxsim_kernel maxsim_kernels_portable[] = {
    {"portable", always, lanes, 1, 1, max_f32, dots_f32, nullptr, from_f16, from_i8},
    {},
};

} // namespace mn
