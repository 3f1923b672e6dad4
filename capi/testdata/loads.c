// Loads a model again and again: loads MODEL. What C has allocated after that is what it had after
// the first loads. What a load leaves behind is too little to be seen in the memory of the process.
#include "check.h"

#include <malloc.h>

enum { FIRST = 200, ALL = 1200, BOUND = 16 * (ALL - FIRST) };

int main(int argc, char **argv) {
    mullama_runtime *runtime = NULL;
    size_t before = 0;
    if (argc != 2) {
        return 2;
    }
    SUCCEEDS(mullama_runtime_open(NULL, &runtime, &error));
    for (int i = 0; i < ALL; i++) {
        mullama_model *model = NULL;
        if (i == FIRST) {
            before = mallinfo2().uordblks;
        }
        SUCCEEDS(mullama_model_load(runtime, argv[1], "{\"vocab_only\":true}", NULL, NULL, &model,
                                    &error));
        mullama_model_close(model);
    }
    long grown = (long)(mallinfo2().uordblks - before);
    printf("%s, %+ld bytes in %d loads\n", grown < BOUND ? "ok" : "too much", grown, ALL - FIRST);
    mullama_runtime_close(runtime);
    return grown < BOUND ? 0 : 1;
}
