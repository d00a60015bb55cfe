/* The zoo: the networks of the papers, written as ONNX files with seeded weights. */
#ifndef MLY_MODEL_ZOO_H
#define MLY_MODEL_ZOO_H

#include <stdbool.h>
#include <stddef.h>

#include <motley/status.h>

struct mly_zoo_entry {
    const char *name;    /* "googlenet"; of a family, with the number's letter: "matmul-N" */
    const char *summary; /* one line */
    double published_parameters; /* 0 where nothing is published */
    double published_macs;       /* for batch 1 */
    const char *source;          /* where these numbers and the definition come from */
    bool is_family;              /* name takes a number: "matmul-256" */
    const char *numbers; /* families: which numbers, and one name as an example; else NULL */
    const char *note;    /* why ours differs by more than 0.5 % from what is published; else NULL */
};

/* Entries are static and sorted by paper. Thread-safe, as everything here. */
size_t mly_zoo_count(void);
/* NULL if index is out of range. */
const struct mly_zoo_entry *mly_zoo_entry(size_t index);

/*
 * Writes network `name` to path, atomically. Deterministic: the same bytes on every box.
 * MLY_E_NOT_FOUND for an unknown name (the message lists near ones); MLY_E_INVALID for a family
 * without a number or with one that it does not take (the message has the rule); MLY_E_IO,
 * MLY_E_NO_SPACE, MLY_E_NO_MEMORY. Cost: memory under 1 MiB whatever the network; vgg16 (553 MB)
 * takes about as long as the disk.
 */
enum mly_status mly_zoo_write(const char *name, const char *path,
                              struct mly_error *err) MLY_MUST_CHECK;

/*
 * The same network with weights of zero, a hole in the file where the file system has such: for
 * asking what it is and what it would cost. Same errors. Cost: milliseconds whatever the network.
 */
enum mly_status mly_zoo_write_hollow(const char *name, const char *path,
                                     struct mly_error *err) MLY_MUST_CHECK;

/* What a network is, counted from its definition without writing it; same errors. */
struct mly_zoo_measures {
    double parameters; /* elements of the weights; batch normalisation is folded, so per channel
                          one, not two */
    double macs;       /* multiply-accumulates of convolutions and matrix products, batch 1 */
    double weight_bytes;
};
enum mly_status mly_zoo_measure(const char *name, struct mly_zoo_measures *out,
                                struct mly_error *err) MLY_MUST_CHECK;

#endif
