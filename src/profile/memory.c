/* Reads this process's private memory from /proc. */
#include "memory.h"

#include <stdio.h>

double private_memory_bytes(void)
{
    double kibibytes = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "re");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "RssAnon: %lf", &kibibytes) == 1)
            break;
    fclose(file);
    return kibibytes * 1024;
}
