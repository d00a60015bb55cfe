/* Allocation with a count and a switch that makes chosen allocations fail. */
#include "base/alloc.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t allocation_count;
/* Numbers of allocations that fail: all from fail_from on, or fail_only; 0 turns each off. */
static _Atomic uint64_t fail_from, fail_only;
/* True while either is set, so that an ordinary allocation tests one flag. */
static _Atomic bool armed;

static bool must_fail(void)
{
    uint64_t number = atomic_fetch_add_explicit(&allocation_count, 1, memory_order_relaxed) + 1;
    if (!atomic_load_explicit(&armed, memory_order_relaxed))
        return false;
    uint64_t from = atomic_load(&fail_from), only = atomic_load(&fail_only);
    return (from && number >= from) || (only && number == only);
}

static bool product(size_t count, size_t element_bytes, size_t *bytes)
{
    return !__builtin_mul_overflow(count, element_bytes, bytes);
}

void *mly_alloc(size_t bytes)
{
    return must_fail() ? NULL : calloc(1, bytes ? bytes : 1);
}

void *mly_alloc_array(size_t count, size_t element_bytes)
{
    size_t bytes;
    return product(count, element_bytes, &bytes) ? mly_alloc(bytes) : NULL;
}

void *mly_realloc_array(void *p, size_t count, size_t element_bytes)
{
    size_t bytes;
    if (!product(count, element_bytes, &bytes) || must_fail())
        return NULL;
    return realloc(p, bytes ? bytes : 1);
}

void *mly_alloc_aligned(size_t alignment, size_t bytes)
{
    if (alignment < sizeof(void *))
        alignment = sizeof(void *);
    if (alignment & (alignment - 1))
        return NULL;
    void *p = NULL;
    if (must_fail() || posix_memalign(&p, alignment, bytes ? bytes : 1) != 0)
        return NULL;
    return p;
}

char *mly_strdup(const char *text)
{
    return mly_strndup(text, strlen(text));
}

char *mly_strndup(const char *text, size_t length)
{
    length = strnlen(text, length);
    char *copy = mly_alloc(length + 1);
    if (copy)
        memcpy(copy, text, length);
    return copy;
}

char *mly_strfmt(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return NULL;
    char *text = mly_alloc((size_t)length + 1);
    if (!text)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

void mly_free(void *p)
{
    free(p);
}

int mly_array_reserve(void *array, size_t *capacity, size_t needed, size_t element_bytes)
{
    if (needed <= *capacity)
        return 0;
    size_t wanted = *capacity > SIZE_MAX / 2 ? SIZE_MAX : *capacity * 2;
    if (wanted < 8)
        wanted = 8;
    if (wanted < needed)
        wanted = needed;
    /* The caller's pointer has its own type: only its bytes may be read and written here. */
    void *old;
    memcpy(&old, array, sizeof old);
    void *grown = mly_realloc_array(old, wanted, element_bytes);
    if (!grown)
        return -1;
    memcpy(array, &grown, sizeof grown);
    *capacity = wanted;
    return 0;
}

static void arm(uint64_t from, uint64_t only)
{
    uint64_t now = atomic_load(&allocation_count);
    atomic_store(&fail_from, from ? now + from : 0);
    atomic_store(&fail_only, only ? now + only : 0);
    atomic_store(&armed, from || only);
}

void mly_alloc_fail_after(uint64_t n)
{
    arm(n, 0);
}

void mly_alloc_fail_once(uint64_t n)
{
    arm(0, n);
}

uint64_t mly_alloc_count(void)
{
    return atomic_load_explicit(&allocation_count, memory_order_relaxed);
}
