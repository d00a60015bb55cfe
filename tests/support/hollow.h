/* Networks of the zoo for tests of what computes nothing. */
#ifndef MOTLEY_TEST_HOLLOW_H
#define MOTLEY_TEST_HOLLOW_H

#include <motley/model.h>

#include "model/zoo.h"
#include "support/expect.h"

/*
 * The network without values in its weights, from a temporary file that is removed again; the caller's
 * (mly_model_destroy). Any failure fails the test.
 */
static inline mly_model *hollow_network(const char *name)
{
    struct mly_error err;
    mly_model *model = NULL;
    char *folder = scratch_create();
    const char *path = scratch_path(folder, "network.onnx");
    expect_ok(mly_zoo_write_hollow(name, path, &err), err);
    expect_ok(mly_model_load(path, NULL, &model, &err), err);
    scratch_remove(folder);
    return model;
}

#endif
