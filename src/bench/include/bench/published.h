/* What others measured of networks on several Edge TPUs, in the form in which its authors keep it. */
#ifndef MLY_BENCH_PUBLISHED_H
#define MLY_BENCH_PUBLISHED_H

#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

#define MLY_PUBLISHED_SEGMENTS_MAX 8u
#define MLY_PUBLISHED_BYTES_MAX ((size_t)4 << 20)
#define MLY_PUBLISHED_ROWS_MAX 100000u

/* One network on as many TPUs as there are segments. */
struct mly_published_row {
    uint32_t size; /* neurons or filters */
    uint32_t segment_count;
    double on_chip_mib[MLY_PUBLISHED_SEGMENTS_MAX], off_chip_mib[MLY_PUBLISHED_SEGMENTS_MAX];
    double time_ms; /* per inference */
};
/* Zero-initialised is empty. */
struct mly_published {
    struct mly_published_row *rows;
    size_t count;
};
void mly_published_fini(struct mly_published *published);
/*
 * Rows "size,MACs,on,off,ms" with a line of names first; on and off are MiB, or several in brackets and
 * quotes ("[1.0, 2.5]"), one for each segment. Rows without a time (the measurement failed) are left out.
 * Adds to *out (mly_published_fini, on failure too). MLY_E_FORMAT with "NAME:LINE: …"; MLY_E_LIMIT;
 * MLY_E_NO_MEMORY. Thread-safe.
 */
enum mly_status mly_published_parse(const char *name, const char *text, size_t length,
                                    struct mly_published *out,
                                    struct mly_error *err) MLY_MUST_CHECK;
/* The first of that size, borrowed; NULL if there is none. */
const struct mly_published_row *mly_published_find(const struct mly_published *published,
                                                   uint32_t size);

#endif
