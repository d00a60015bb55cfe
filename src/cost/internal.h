/* What the files of the cost layer share: limits, names and texts. */
#ifndef MLY_COST_INTERNAL_H
#define MLY_COST_INTERNAL_H

#include "cost/table.h"

#define MLY__COST_VERSION 1
#define MLY__COST_TEXT_BYTES_MAX ((size_t)64 << 20)
#define MLY__COST_ENTRIES_MAX 1000000u
#define MLY__COST_ID_BYTES_MAX 65535u
/* Bounds of a configuration: generous for any box, small enough that products of them fit in 64
 * bits. */
#define MLY__COST_GROUPS_MAX 65536u
#define MLY__COST_THREADS_MAX 65536u
#define MLY__COST_BATCH_MAX 1000000u
/* No time (31 years in ns), rate or size comes near it, and sums and products of a few stay finite.
 */
#define MLY__COST_NUMBER_MAX 1e18
#define MLY__COST_TIME_MAX_S INT64_C(253402300799) /* the last second of the year 9999 */

/* "model", "segment", "node"; NULL past the end. */
const char *mly__cost_scope_name(enum mly_cost_scope scope);
/* "2 groups x 1 thread, batch 4, block (ort, cpu)" into text, which it returns. */
#define MLY__COST_CONFIG_TEXT_BYTES 160
char *mly__cost_config_text(const struct mly_cost_config *config,
                            char text[MLY__COST_CONFIG_TEXT_BYTES]);

bool mly__cost_is_utf8(const char *text);
/* Puts '?' in place of every byte that is not part of UTF-8 (such as a character cut in half). */
void mly__cost_make_utf8(char *text);

const struct mly_cost_noise *mly__cost_noise(const mly_cost_table *table);

#endif
