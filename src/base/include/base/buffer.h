/* Growable byte buffer with a maximum size. */
#ifndef MLY_BASE_BUFFER_H
#define MLY_BASE_BUFFER_H

#include <stddef.h>

#include <motley/status.h>

/* Zero-initialise, set max_bytes (0 means 256 MiB). data is NUL-terminated after every append. */
struct mly_buffer {
    char *data;
    size_t length;
    size_t capacity;
    size_t max_bytes;
};

void mly_buffer_fini(struct mly_buffer *buffer);
/* MLY_E_LIMIT over max_bytes, MLY_E_NO_MEMORY; the contents stay as they were on failure. */
enum mly_status mly_buffer_append(struct mly_buffer *buffer, const void *bytes,
                                  size_t length) MLY_MUST_CHECK;
enum mly_status mly_buffer_printf(struct mly_buffer *buffer, const char *format, ...)
    MLY_PRINTF(2, 3);

#endif
