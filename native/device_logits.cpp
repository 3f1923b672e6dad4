// The graph of device_logits.h, and how it becomes part of llama.cpp's: as a sampler that llama.cpp
// runs on the device for each sequence. The first one to be asked adds the work for all.
#include "device_logits.h"

#include "llama-model.h"

namespace mn {

namespace {

// So many blocks are kept: a few more than the likeliest tokens that samplers ask for, since
// penalties may push some of those down.
constexpr int32_t blocks_kept = 64;

// Devices sort up to so many numbers in one go; more take several passes.
constexpr int32_t most_blocks = 1024;

constexpr int32_t smallest_block = 32;

// GPUs pool with a thread for each result, so first few values each, and then their maxima.
constexpr int32_t pooled_first = 16;

constexpr size_t max_nodes = 32; // of the graph's part that is ours

ggml_context_ptr make_tensors(size_t n) {
    return ggml_context_ptr(
        ggml_init({n * ggml_tensor_overhead() + ggml_graph_overhead_custom(max_nodes, false),
                   nullptr, true}));
}

} // namespace

struct device_logits::sequence {
    device_logits *owner;
    int32_t id;
    int32_t row = 0; // of the graph
    llama_sampler *chain = nullptr;

    ~sequence() {
        if (chain) {
            llama_sampler_free(chain);
        }
    }

    static sequence &of(llama_sampler *sampler) { return *(sequence *)sampler->ctx; }

    void begin() { owner->built_ = false; }

    // Logits are those of one row, as a view of all, or in a trial graph without any rows.
    void build(ggml_context *ctx, ggml_cgraph *gf, llama_sampler_data &data) {
        ggml_tensor *all = data.logits->view_src;
        if (!all) {
            all = ggml_new_tensor_2d(ctx, GGML_TYPE_F32, owner->n_vocab_, 2);
        } else {
            row = (int32_t)(data.logits->view_offs / all->nb[1]);
        }
        if (!owner->built_) {
            owner->build(ctx, gf, all);
            owner->built_ = true;
        }
        data.logits = data.candidates = nullptr; // nothing for llama.cpp to copy
    }

    // Called for the sequences that have a row in a graph, before it is computed.
    void set_input() {
        ggml_tensor *rows = owner->plan_rows_;
        auto set = [&](int64_t at, int32_t value) {
            ggml_backend_tensor_set(rows, &value, at * sizeof(value), sizeof(value));
        };
        set(row, owner->plan_row_[id]);
        if (row == 0) {
            set(rows->ne[0] - 1, owner->n_sequences_); // the row that llama.cpp adds is of nobody
        }
    }

    void make_chain();
};

void device_logits::sequence::make_chain() {
    static llama_sampler_i sampler = {
        [](const llama_sampler *) { return "device-logits"; },
        nullptr,
        [](llama_sampler *, llama_token_data_array *) {},
        nullptr,
        nullptr,
        [](llama_sampler *) {},
        [](llama_sampler *, ggml_backend_buffer_type_t, uint32_t) { return true; },
        nullptr,
        [](llama_sampler *s, ggml_context *ctx, ggml_cgraph *gf, llama_sampler_data *data) {
            of(s).build(ctx, gf, *data);
        },
        [](llama_sampler *s) { of(s).set_input(); },
        [](llama_sampler *s) { of(s).begin(); },
        nullptr,
    };
    chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    llama_sampler_chain_add(chain, llama_sampler_init(&sampler, this));
}

std::unique_ptr<device_logits> device_logits::make(const llama_model *model, int32_t n_sequences,
                                                   bool anywhere) {
    ggml_backend_dev_t device = model->dev_output();
    bool is_gpu = device && ggml_backend_dev_type(device) != GGML_BACKEND_DEVICE_TYPE_CPU;
    if (!device || (!is_gpu && !anywhere) || model->split_mode() == LLAMA_SPLIT_MODE_TENSOR) {
        return nullptr;
    }
    int32_t n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    std::unique_ptr<device_logits> d(new device_logits(device, n_vocab, n_sequences));
    return d->usable() && d->allocate() ? std::move(d) : nullptr;
}

device_logits::device_logits(ggml_backend_dev_t device, int32_t n_vocab, int32_t n_sequences)
    : device_(device), n_vocab_(n_vocab), n_sequences_(n_sequences), block_size_(smallest_block),
      kept_(blocks_kept), plan_row_(n_sequences) {
    while ((n_vocab + block_size_ - 1) / block_size_ > most_blocks) {
        block_size_ *= 2;
    }
    n_blocks_ = (n_vocab + block_size_ - 1) / block_size_;
}

device_logits::~device_logits() = default;

// Whether there is something to gain, and the device knows the operations.
bool device_logits::usable() const {
    if (n_blocks_ < 2 * kept_) {
        return false;
    }
    ggml_context_ptr ctx = make_tensors(max_nodes);
    ggml_cgraph *gf = ggml_new_graph_custom(ctx.get(), max_nodes, false);
    device_logits trial(device_, n_vocab_, n_sequences_);
    trial.whole_ = ggml_new_tensor_2d(ctx.get(), GGML_TYPE_F32, n_vocab_, 2);
    trial.lists_ = ggml_new_tensor_2d(ctx.get(), GGML_TYPE_F32, list_length(), 2);
    trial.build(ctx.get(), gf, ggml_new_tensor_2d(ctx.get(), GGML_TYPE_F32, n_vocab_, 2));
    for (int32_t i = 0; i < ggml_graph_n_nodes(gf); i++) {
        if (!ggml_backend_dev_supports_op(device_, ggml_graph_node(gf, i))) {
            return false;
        }
    }
    return true;
}

// False if the device or the host has no memory for it.
bool device_logits::allocate() {
    tables_ = make_tensors(2);
    whole_ = ggml_new_tensor_2d(tables_.get(), GGML_TYPE_F32, n_vocab_, n_sequences_ + 1);
    lists_ = ggml_new_tensor_2d(tables_.get(), GGML_TYPE_F32, list_length(), n_sequences_ + 1);
    ggml_backend_buffer_type_t type = ggml_backend_dev_buffer_type(device_);
    memory_.reset(ggml_backend_alloc_ctx_tensors_from_buft(tables_.get(), type));
    return memory_ && allocate_host(host_lists_, (size_t)n_sequences_ * list_length());
}

// Takes memory that the device can write to, if there is such.
bool device_logits::allocate_host(ggml_backend_buffer_ptr &buffer, size_t n_floats) const {
    ggml_backend_buffer_type_t type = ggml_backend_dev_host_buffer_type(device_);
    if (!type) {
        type = ggml_backend_cpu_buffer_type();
    }
    buffer.reset(ggml_backend_buft_alloc_buffer(type, n_floats * sizeof(float)));
    return buffer != nullptr;
}

void device_logits::attach(llama_context_params &params) {
    sequences_.clear();
    configs_.clear();
    for (int32_t id = 0; id < n_sequences_; id++) {
        sequences_.push_back(std::make_unique<sequence>());
        sequences_.back()->owner = this;
        sequences_.back()->id = id;
        sequences_.back()->make_chain();
        configs_.push_back({id, sequences_.back()->chain});
    }
    params.samplers = configs_.data();
    params.n_samplers = configs_.size();
}

void device_logits::expect(const mn_step_plan &plan) {
    std::fill(plan_row_.begin(), plan_row_.end(), -1);
    for (int32_t r = 0; r < plan.n_rows; r++) {
        int32_t &row = plan_row_[plan.seqs[plan.rows[r]]];
        if (row >= 0) {
            throw failure(MN_ERR_INVALID, "a step samples more than one row of a sequence");
        }
        row = r;
    }
}

// The largest of every n values.
static ggml_tensor *pool(ggml_context *ctx, ggml_tensor *values, int32_t n) {
    return ggml_pool_2d(ctx, values, GGML_OP_POOL_MAX, n, 1, n, 1, 0, 0);
}

// Adds to a graph what puts its rows of logits into the tables.
void device_logits::build(ggml_context *ctx, ggml_cgraph *gf, ggml_tensor *logits) {
    int64_t n_rows = logits->ne[1];
    plan_rows_ = nullptr;
    if (n_rows < 2) {
        return; // no row but the one that llama.cpp adds
    }
    plan_rows_ = ggml_new_tensor_1d(ctx, GGML_TYPE_I32, n_rows);
    ggml_set_input(plan_rows_);
    ggml_build_forward_expand(gf, ggml_set_rows(ctx, whole_, logits, plan_rows_));

    int32_t missing = n_blocks_ * block_size_ - n_vocab_;
    ggml_tensor *all = missing > 0 ? ggml_pad(ctx, logits, missing, 0, 0, 0) : logits;
    ggml_tensor *maxima = pool(ctx, pool(ctx, all, pooled_first), block_size_ / pooled_first);
    ggml_tensor *kept = ggml_cont(ctx, ggml_argsort_top_k(ctx, maxima, kept_));
    ggml_tensor *blocks = ggml_reshape_3d(ctx, all, block_size_, n_blocks_, n_rows);
    ggml_tensor *values = ggml_get_rows(ctx, blocks, kept);
    ggml_tensor *list =
        ggml_concat(ctx, ggml_reshape_2d(ctx, values, (int64_t)block_size_ * kept_, n_rows),
                    ggml_cast(ctx, kept, GGML_TYPE_F32), 0);
    ggml_build_forward_expand(gf, ggml_set_rows(ctx, lists_, list, plan_rows_));
}

void device_logits::fetch_lists(int32_t n) {
    ggml_backend_tensor_get(lists_, ggml_backend_buffer_get_base(host_lists_.get()), 0,
                            (size_t)n * list_length() * sizeof(float));
}

float *device_logits::fetch_row(int32_t row) {
    if (!host_rows_ && !allocate_host(host_rows_, (size_t)n_sequences_ * n_vocab_)) {
        throw std::bad_alloc();
    }
    float *out = (float *)ggml_backend_buffer_get_base(host_rows_.get()) + (size_t)row * n_vocab_;
    ggml_backend_tensor_get(whole_, out, row * whole_->nb[1], n_vocab_ * sizeof(float));
    return out;
}

device_logits::list device_logits::list_of(int32_t row) const {
    auto *lists = (float *)ggml_backend_buffer_get_base(host_lists_.get());
    float *logits = lists + (size_t)row * list_length();
    return {logits, logits + (size_t)kept_ * block_size_, kept_, block_size_};
}

} // namespace mn
