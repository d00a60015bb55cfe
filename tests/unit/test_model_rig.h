/* What tests of models start from: a scratch folder with a cache of its own, and models written into it. */
#ifndef TESTS_UNIT_MODEL_RIG_H
#define TESTS_UNIT_MODEL_RIG_H

#include <stdlib.h>

#include "model/graph.h"
#include "test_model_wire.h"

static char *scratch;
static struct mly_error err;

static inline int group_setup(void **state)
{
    (void)state;
    scratch = scratch_create();
    return setenv("MOTLEY_CACHE_DIR", scratch_path(scratch, "cache"), 1);
}

static inline int group_teardown(void **state)
{
    (void)state;
    scratch_remove(scratch);
    return 0;
}

static inline mly_model *open_model(const char *path)
{
    mly_model *model = NULL;
    expect_ok(mly_model_load(path, NULL, &model, &err), err);
    return model;
}

static inline mly_model *load(struct wire w)
{
    const char *path = scratch_path(scratch, "m.onnx");
    wire_save(w, path);
    return open_model(path);
}

#endif
