/* The zoo: the networks of the papers, written as ONNX files with seeded weights. */
#ifndef MLY_MODEL_ZOO_H
#define MLY_MODEL_ZOO_H

#include <stddef.h>

#include <motley/status.h>

struct mly_zoo_entry {
    const char *name;              /* "googlenet" */
    const char *summary;           /* one line */
    double published_parameters;   /* 0 where nothing is published */
    double published_macs;         /* for batch 1 */
    const char *source;            /* where these numbers and the definition come from */
    bool is_family;                /* name takes a number: "matmul-256" */
};

size_t mly_zoo_count(void);
const struct mly_zoo_entry *mly_zoo_entry(size_t index);

/*
 * Writes network `name` to path, atomically. Deterministic: the same bytes on every box. MLY_E_NOT_FOUND for an
 * unknown name (the message lists near ones).
 */
enum mly_status mly_zoo_write(const char *name, const char *path, struct mly_error *err) MLY_MUST_CHECK;

#endif
