// Opens a runtime that computes itself, and says why it cannot.
#include <mullama.h>
#include <stdio.h>

int main(void) {
    mullama_runtime *runtime = NULL;
    mullama_error *error = NULL;
    mullama_status status = mullama_runtime_open(NULL, &runtime, &error);
    printf("%s: %s\n", mullama_status_name(status), mullama_error_message(error));
    mullama_error_free(error);
    mullama_runtime_close(runtime);
    return 0;
}
