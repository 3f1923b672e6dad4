// A program with an operator new of its own, which only its own operator delete can free: allocator
// MODEL. The library must not mix them with malloc and free.
#include "check.h"

#include <atomic>
#include <new>

namespace {

constexpr size_t header = 16, mark = 0x6d756c6c616d61;

std::atomic<long> made;

} // namespace

void *operator new(size_t size) {
    auto *memory = static_cast<char *>(malloc(size + header));
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    memcpy(memory, &mark, sizeof(mark));
    made++;
    return memory + header;
}

void operator delete(void *at) noexcept {
    if (at == nullptr) {
        return;
    }
    char *memory = static_cast<char *>(at) - header;
    if (memcmp(memory, &mark, sizeof(mark)) != 0) {
        fprintf(stderr, "operator delete got what operator new did not make\n");
        abort();
    }
    free(memory);
}

void operator delete(void *at, size_t) noexcept { operator delete(at); }

int main(int argc, char **argv) {
    const char *request = "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"
                          "\"format\":\"json\",\"options\":{\"num_predict\":8}}";
    mullama_runtime *runtime = nullptr;
    mullama_model *model = nullptr;
    mullama_stream *stream = nullptr;
    if (argc != 2) {
        return 2;
    }
    delete new int(1);
    CHECK(made == 1);
    SUCCEEDS(mullama_runtime_open(nullptr, &runtime, &error));
    SUCCEEDS(mullama_model_load(runtime, argv[1], "{\"ctx_size\":512}", nullptr, nullptr, &model,
                                &error));
    SUCCEEDS(mullama_model_chat(model, request, &stream, &error));
    char *last = nullptr;
    free(collect(stream, &last));
    CHECK(last != nullptr);
    free(last);
    FAILS(MULLAMA_ERR_GRAMMAR, "rammar",
          mullama_model_generate(model,
                                 "{\"prompt\":\"a\",\"options\":{\"grammar\":\"root ::= (\"}}",
                                 &stream, &error));
    mullama_stream_close(stream);
    mullama_model_close(model);
    mullama_runtime_close(runtime);
    printf("ok, %d checks\n", checks);
    return 0;
}
