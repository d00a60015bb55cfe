/* Memory of this process and of the box. */
#ifndef MLY_PROFILE_MEMORY_H
#define MLY_PROFILE_MEMORY_H

#include <stdint.h>

/*
 * Bytes of resident anonymous memory (/proc/self/status), which this process shares with nobody; 0
 * when unknown. Mapped files do not count.
 */
double private_memory_bytes(void);
/*
 * Bytes that this process can still take: what the kernel calls available, and what a limit on this
 * process's memory (limit_bytes; 0 is none) leaves. 0 when unknown.
 */
double available_memory_bytes(uint64_t limit_bytes);

#endif
