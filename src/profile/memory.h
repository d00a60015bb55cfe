/* Memory of this process that it shares with nobody. */
#ifndef MLY_PROFILE_MEMORY_H
#define MLY_PROFILE_MEMORY_H

/* Bytes of resident anonymous memory (/proc/self/status); 0 when unknown. Mapped files do not count. */
double private_memory_bytes(void);

#endif
