/* Memory: every allocation of motley goes through here, so that a test can make the n-th one fail.
 */
#ifndef MLY_BASE_ALLOC_H
#define MLY_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

#include <motley/export.h>

/* All return NULL when memory is short or count * size overflows; zeroed unless it says otherwise.
 */
void *mly_alloc(size_t bytes);
void *mly_alloc_array(size_t count, size_t element_bytes);
/* Not zeroed beyond the old contents; p may be NULL; on failure p stays valid. */
void *mly_realloc_array(void *p, size_t count, size_t element_bytes);
/* Aligned to a power of two, not zeroed; free with mly_free. */
void *mly_alloc_aligned(size_t alignment, size_t bytes);
char *mly_strdup(const char *text);
char *mly_strndup(const char *text, size_t length);
/* printf into a new string; NULL when memory is short. */
char *mly_strfmt(const char *format, ...) MLY_PRINTF(1, 2);
void mly_free(void *p);

/*
 * Grows *array (elements of element_bytes) so that it can hold `needed` elements, at least doubling
 * *capacity. Returns 0, or -1 when memory is short (nothing changes). `*array` is a pointer's
 * address.
 */
int mly_array_reserve(void *array, size_t *capacity, size_t needed, size_t element_bytes);

/* For tests: the n-th allocation from now (1 is the next) and all later ones fail; 0 turns it off.
 * Process-wide. */
void mly_alloc_fail_after(uint64_t n);
/* For tests: only the n-th allocation from now fails. */
void mly_alloc_fail_once(uint64_t n);
/* Allocations made so far by this process (thread-safe, for tests that count). */
uint64_t mly_alloc_count(void);

#endif
