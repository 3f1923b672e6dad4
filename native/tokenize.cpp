// llama_tokenize for text of any length.
//
// llama.cpp splits text for many vocabularies with std::regex, whose matcher recurses once per
// character: about 320 bytes of stack for each letter of one match, so that 26,000 letters in a
// row overflow a stack of 8 MiB and end the process. Long text is therefore split on a stack of
// its own.
#include "facade.h"

#include <climits>
#include <pthread.h>
#include <sys/mman.h>

namespace mn {
namespace {

constexpr size_t DIRECT = 8 << 10;     // bytes of text that any stack is large enough for
constexpr size_t STACK_BASE = 1 << 20; // for everything but the recursion
constexpr size_t STACK_PER_BYTE = 512;

struct call {
    const llama_vocab *vocab;
    std::string_view text;
    bool add_special, parse_special;
    int32_t *out;
    int32_t cap;
    int32_t result = INT32_MIN;

    void run() {
        border here; // it may be another thread than the caller's
        try {
            result = llama_tokenize(vocab, text.data(), (int32_t)text.size(), out, cap, add_special,
                                    parse_special);
        } catch (const std::exception &) { // bytes that stand for no code point
            result = INT32_MIN;
        }
    }
};

void run_deep(call &c) {
    size_t size = (STACK_BASE + STACK_PER_BYTE * c.text.size()) / 4096 * 4096;
    void *stack = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) {
        return;
    }
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_t thread;
    auto body = [](void *argument) -> void * {
        static_cast<call *>(argument)->run();
        return nullptr;
    };
    if (pthread_attr_setstack(&attributes, stack, size) == 0 &&
        pthread_create(&thread, &attributes, body, &c) == 0) {
        pthread_join(thread, nullptr);
    }
    pthread_attr_destroy(&attributes);
    munmap(stack, size);
}

} // namespace

// As llama_tokenize; INT32_MIN when the text cannot be tokenised.
int32_t tokenize_text(const llama_vocab *vocab, std::string_view text, bool add_special,
                      bool parse_special, int32_t *out, int32_t cap) {
    call c{vocab, text, add_special, parse_special, out, cap};
    if (text.size() <= DIRECT) {
        c.run();
    } else {
        run_deep(c);
    }
    return c.result;
}

} // namespace mn
