/* The version of the headers, and of the library that is linked. */
#ifndef MOTLEY_VERSION_H
#define MOTLEY_VERSION_H

#include <motley/export.h>

MLY_BEGIN_DECLS

/* The version of these headers. */
#define MLY_VERSION_MAJOR 0
#define MLY_VERSION_MINOR 1
#define MLY_VERSION_PATCH 0
#define MLY_VERSION "0.1.0"

/*
 * "0.1.0": the version of the library itself, which may differ from MLY_VERSION. Static.
 * Threads: any.
 */
MLY_API const char *mly_version(void);

MLY_END_DECLS

#endif
