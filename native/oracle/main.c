// The command table of mullama-oracle.
#include "oracle.h"

#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    int (*fn)(int argc, char **argv);
    const char *usage;
};

static const struct command commands[] = {
    {"tokenize", cmd_tokenize, "MODEL RECORDS [add_special=1] [parse_special=0] [all_modes=0]"},
    {"detokenize", cmd_detokenize, "MODEL IDS"},
    {"greedy", cmd_greedy,
     "MODEL RECORDS [predict=128] [threads=2] [ctx=512] [batch=2048] [ubatch=512] [ban_end=1]\n"
     "             [parse_special=0] [slots=0] [unified=0] [lora=FILE] [lora_scale=1] "
     "[steer=FILE]"},
    {"score", cmd_score, "MODEL RECORDS IDS [threads=2] [ctx=512] [ban_end=1] [parse_special=0]"},
    {"quantize", cmd_quantize, "MODEL NEW-MODEL TYPE [threads=0] [pure=0] [imatrix=RECORDS]"},
    {"embed", cmd_embed, "MODEL RECORDS [batch=256] [threads=2] [pooling=-1] [rounds=1] [print=0]"},
    {"embed-calls", cmd_embed_calls, "MODEL [batch=256] [threads=2]"},
    {"bench", cmd_bench, "see bench.c"},
    {"limits", cmd_limits, "[threads=1] [bytes=1073741824]"},
    {"device-limits", cmd_device_limits, "DEVICE [bytes=1073741824]"},
};

static const size_t n_commands = sizeof(commands) / sizeof(commands[0]);

static void log_errors(enum ggml_log_level level, const char *text, void *user) {
    (void)user;
    if (level == GGML_LOG_LEVEL_ERROR) {
        fputs(text, stderr);
    }
}

static int usage(void) {
    fprintf(stderr, "usage: mullama-oracle COMMAND …\n");
    for (size_t i = 0; i < n_commands; i++) {
        fprintf(stderr, "  %-13s %s\n", commands[i].name, commands[i].usage);
    }
    return 2;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        return usage();
    }
    for (size_t i = 0; i < n_commands; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            llama_log_set(log_errors, NULL);
            ggml_backend_load_all();
            llama_backend_init();
            int code = commands[i].fn(argc - 1, argv + 1);
            llama_backend_free();
            return code;
        }
    }
    return usage();
}
