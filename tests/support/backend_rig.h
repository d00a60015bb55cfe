/* A model, its whole segment and sessions on it, for tests of back ends. */
#ifndef MOTLEY_TEST_BACKEND_RIG_H
#define MOTLEY_TEST_BACKEND_RIG_H

#include "backend/backend.h"
#include "support/expect.h"

/* The CPUs that this process may use, as one processor; static. */
const struct mly_processor *rig_processor(void);
/* Options for one session with that many threads (as many CPUs as there are at most). */
struct mly_session_options rig_options(uint32_t threads);

struct rig {
    mly_model *model;
    struct mly_segment whole;
};
/* Fails the test if the model cannot be loaded. */
void rig_load(struct rig *rig, const char *path);
void rig_free(struct rig *rig);

/* One tensor per input of the session, of that batch size where it is free, with values that the
 * seed determines; f32 in [-1, 1). Free with tensors_free. */
struct mly_tensor *rig_inputs(const struct mly_session_info *info, int64_t batch, uint64_t seed);
/* Empty tensors, one per output. */
struct mly_tensor *rig_outputs(const struct mly_session_info *info);
void tensors_free(struct mly_tensor *tensors, uint32_t count);

/* True if both have the same type and shape and each value of a is within absolute + relative * |b|. */
bool tensors_close(const struct mly_tensor *a, const struct mly_tensor *b, double absolute,
                   double relative);

/* Opens, runs once on rig_inputs(1, seed), closes; the first output is the caller's. */
void rig_run_once(const struct mly_backend_ops *ops, const struct rig *rig,
                  const struct mly_session_options *options, uint64_t seed,
                  struct mly_tensor *result, bool *prepared);

/* Writes a network of the zoo as directory/name; its path, in a static buffer. */
const char *rig_zoo(const char *directory, const char *name);

#endif
