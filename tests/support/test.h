/* What every test program includes first: cmocka with what it needs, and skipping with a reason. */
#ifndef MOTLEY_TEST_H
#define MOTLEY_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Ends the running case as skipped; the reason, a printf format and its arguments, is shown. */
#define TEST_SKIP(...)                                                                             \
    do {                                                                                           \
        printf("# ");                                                                              \
        printf(__VA_ARGS__);                                                                       \
        printf("\n");                                                                              \
        skip();                                                                                    \
    } while (0)

/* A variable of the environment that tests/meson.build sets; skips if it is not set. */
static inline const char *test_env(const char *name)
{
    const char *value = getenv(name);

    if (value == NULL)
        TEST_SKIP("%s is not set; run the tests by 'make check'", name);
    return value;
}

#endif
