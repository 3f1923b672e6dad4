/* A stack for signals on each thread of the program: see signal_stack.c. */
#ifndef MULLAMA_CAPI_SIGNAL_STACK_H
#define MULLAMA_CAPI_SIGNAL_STACK_H

#include <stdbool.h>

/* Whether this thread has called before, or is Go's. */
extern __thread bool signal_stack_known __attribute__((tls_model("initial-exec")));

/* Gives this thread a stack. */
void signal_stack_first_call(void);

/* Puts the stack back if somebody has turned it off. */
void signal_stack_restore(void);

#endif
