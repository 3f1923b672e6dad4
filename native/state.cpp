// The envelope of a saved sequence. llama.cpp believes what it reads, so what was cut, damaged or
// made by another model must be refused before.
#include "facade.h"

namespace mn {

namespace {

struct header {
    char magic[8];
    uint64_t version;
    uint64_t model; // identity of the model
    uint64_t size;  // of what follows
    uint64_t sum;   // of what follows
};

constexpr char state_magic[8] = {'M', 'U', 'L', 'S', 'T', 'A', 'T', 'E'};

uint64_t checksum(const char *data, size_t size) {
    uint64_t sum = size;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = 0;
        memcpy(&word, data + i, std::min<size_t>(8, size - i));
        sum = (sum ^ word) * 0x9E3779B97F4A7C15;
        sum ^= sum >> 29;
    }
    return sum;
}

// A number for the model: its size, and all that its file says of it.
uint64_t identity(const llama_model *model) {
    std::string text = std::to_string(llama_model_n_params(model)) + " " +
                       std::to_string(llama_model_size(model)) + " " +
                       std::to_string(llama_vocab_n_tokens(llama_model_get_vocab(model)));
    char buf[256];
    for (int32_t i = 0; i < llama_model_meta_count(model); i++) {
        llama_model_meta_key_by_index(model, i, buf, sizeof(buf));
        text += std::string("\n") + buf;
        llama_model_meta_val_str_by_index(model, i, buf, sizeof(buf));
        text += std::string("=") + buf;
    }
    return checksum(text.data(), text.size());
}

header make_header(const llama_model *model, std::string_view data) {
    header h = {};
    memcpy(h.magic, state_magic, sizeof(h.magic));
    h.version = 1;
    h.model = identity(model);
    h.size = data.size();
    h.sum = checksum(data.data(), data.size());
    return h;
}

} // namespace

mn_buf save_state(llama_context *ctx, int32_t seq) {
    size_t size = llama_state_seq_get_size(ctx, seq);
    std::unique_ptr<char, decltype(&free)> buf((char *)malloc(sizeof(header) + size), free);
    if (!buf) {
        throw std::bad_alloc();
    }
    char *data = buf.get() + sizeof(header);
    size = llama_state_seq_get_data(ctx, (uint8_t *)data, size, seq);
    if (size == 0) {
        throw failure(MN_ERR_INTERNAL, "llama.cpp could not copy the sequence's state");
    }
    header h = make_header(llama_get_model(ctx), {data, size});
    memcpy(buf.get(), &h, sizeof(h));
    return {buf.release(), sizeof(h) + size};
}

void restore_state(llama_context *ctx, int32_t seq, std::string_view saved) {
    header h;
    if (saved.size() < sizeof(h) || memcmp(saved.data(), state_magic, sizeof(state_magic)) != 0) {
        throw failure(MN_ERR_INVALID, "this is not a saved sequence");
    }
    memcpy(&h, saved.data(), sizeof(h));
    std::string_view data = saved.substr(sizeof(h));
    header want = make_header(llama_get_model(ctx), data);
    if (h.version != want.version) {
        throw failure(MN_ERR_INVALID, "the sequence was saved by another version of this library");
    }
    if (h.size != want.size || h.sum != want.sum) {
        throw failure(MN_ERR_INVALID, "the saved sequence is damaged");
    }
    if (h.model != want.model) {
        throw failure(MN_ERR_INVALID, "the sequence was saved with another model");
    }
    log_capture log;
    if (llama_state_seq_set_data(ctx, (const uint8_t *)data.data(), data.size(), seq) == 0) {
        throw failure(MN_ERR_INVALID, "the saved sequence does not fit this context: " +
                                          log.reason("its cache is of another kind"));
    }
}

} // namespace mn
