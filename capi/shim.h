/* What shim.c and the Go files share. */
#ifndef MULLAMA_CAPI_SHIM_H
#define MULLAMA_CAPI_SHIM_H

#include "../include/mullama.h"

#include <stdlib.h>

/* The end of the first version of the chunk, which programs may have for ever. */
enum { CAPI_CHUNK_V1 = offsetof(mullama_chunk, done) + sizeof(bool) };

/* The same of an embedding. */
enum { CAPI_EMBEDDING_V1 = offsetof(mullama_embedding, truncated) + sizeof(bool) };

/* Makes an error with a copy of the message. */
mullama_error *capi_error(mullama_status status, const char *message);

/* Has goAtExit called when the process ends, before what was registered until now. */
void capi_watch_exit(void);

/* Copies a chunk as far as the other goes, by its struct_size, which stays. */
void capi_copy_chunk(mullama_chunk *to, const mullama_chunk *from);

/* Makes room for the embeddings of so many texts, which have so many numbers together. NULL: there
 * is no memory. Then each is given, in any order: one that has rows, whose numbers go where the
 * result points, or the error instead. */
mullama_embeddings *capi_embeddings(size_t count, size_t numbers);
float *capi_embedding_set(mullama_embeddings *embeddings, size_t index,
                          const mullama_embedding *embedding);
void capi_embedding_fail(mullama_embeddings *embeddings, size_t index, mullama_error *error);

/* Call the caller's functions, which Go cannot. */
bool capi_progress(mullama_progress progress, float fraction, void *user);
bool capi_on_chunk(mullama_on_chunk on_chunk, const mullama_chunk *chunk, mullama_status status,
                   const mullama_error *error, void *user);

#endif
