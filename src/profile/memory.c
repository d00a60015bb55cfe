/* Reads from /proc what memory this process has and can get. */
#include "profile/memory.h"

#include <stdio.h>
#include <string.h>

/* The number after "NAME:" in a file of such lines in kB, in bytes; 0 if there is none. */
static double read_bytes(const char *path, const char *name)
{
    double kibibytes = 0;
    char line[256];
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file)) {
        size_t length = strlen(name);
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            if (sscanf(line + length + 1, "%lf", &kibibytes) != 1)
                kibibytes = 0;
            break;
        }
    }
    fclose(file);
    return kibibytes * 1024;
}

double private_memory_bytes(void)
{
    return read_bytes("/proc/self/status", "RssAnon");
}

double available_memory_bytes(uint64_t limit_bytes)
{
    double available = read_bytes("/proc/meminfo", "MemAvailable");
    double left = (double)limit_bytes - private_memory_bytes();
    if (limit_bytes == 0)
        return available;
    if (left < 1)
        left = 1;
    return available > 0 && available < left ? available : left;
}
