/*
 * Feeds a fuzz target every seed of a folder, whole and cut short, where libFuzzer is not: a quick
 * check that what once crashed a parser does not any more.
 *
 *   fuzz_NAME FOLDER
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

enum { CUTS = 16, SEED_MAX_BYTES = 1 << 20 };

/* A heap copy of just the right size, so that the address sanitizer sees a read past the end. */
static void feed(const uint8_t *data, size_t size_bytes)
{
    uint8_t *copy = malloc(size_bytes > 0 ? size_bytes : 1);

    if (copy == NULL)
        abort();
    for (size_t i = 0; i < size_bytes; i++)
        copy[i] = data[i];
    LLVMFuzzerTestOneInput(copy, size_bytes);
    free(copy);
}

static int replay(const char *folder, const char *name)
{
    static uint8_t data[SEED_MAX_BYTES];
    char path[4096];
    FILE *file;
    size_t size_bytes;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    size_bytes = fread(data, 1, sizeof data, file);
    fclose(file);
    feed(data, size_bytes);
    for (size_t cut = 0; cut < CUTS; cut++)
        feed(data, size_bytes * cut / CUTS);
    return 0;
}

int main(int argc, char **argv)
{
    DIR *folder;
    struct dirent *entry;
    int seeds = 0, failures = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    folder = opendir(argv[1]);
    if (folder == NULL) {
        perror(argv[1]);
        return 1;
    }
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        seeds++;
        failures += replay(argv[1], entry->d_name) != 0;
    }
    closedir(folder);
    printf("%d seeds\n", seeds);
    return failures != 0 || seeds == 0;
}
