/* A segment opened on a modelled processor; for src/backend only. */
#ifndef MLY_BACKEND_MODELLED_SESSION_H
#define MLY_BACKEND_MODELLED_SESSION_H

#include <pthread.h>

#include "backend/backend.h"
#include "device/modelled.h"

extern const struct mly_backend_ops mly__modelled_ops;

/* What is known of one set of input shapes. */
struct mly__modelled_timing {
    struct mly_shape *shapes;   /* [inputs], then [outputs]: what would come out */
    double run_ns;              /* of one run, with what crosses the links */
    double first_ns;            /* what the session's first run takes longer */
    double input_ns, output_ns; /* on links, of run_ns */
    double input_bytes, output_bytes;
    double energy_j; /* of one run, above idle */
    enum { MLY__RESULTS_UNDECIDED, MLY__RESULTS_COMPUTED, MLY__RESULTS_ABSENT } results;
    double cpu_ns; /* the CPU's fastest run; 0 before the first */
};

/* Shapes that are remembered; of more the oldest go. */
#define MLY__MODELLED_TIMINGS 16u

struct mly__modelled_session {
    struct mly_session_info info; /* names are borrowed from the model */
    struct mly_session_port *inputs, *outputs;
    const mly_model *model;            /* borrowed */
    const struct mly_segment *segment; /* borrowed */
    const struct mly_device_model *device;
    char processor[64];
    enum mly_results results;
    bool loaded; /* the first run is over */
    struct mly__modelled_timing timings[MLY__MODELLED_TIMINGS];
    uint32_t timing_count, next_timing;

    const struct mly_backend_ops *cpu_ops;
    mly_session *cpu; /* NULL: results cannot be computed, or are not wanted */
    char reason[256]; /* why cpu is NULL */
    uint64_t runs;
    int64_t end_ns;      /* when the last run ended on the modelled device; 0: nobody can say */
    int64_t returned_ns; /* when that run returned: never before */
    bool *is_preset;     /* [outputs] scratch of one run: the caller provided the memory */
    struct mly_session_copy copies[MLY_SESSION_COPIES_MAX]; /* of the last run */
    uint32_t copy_count;

    pthread_mutex_t lock; /* protects running and cancelled */
    pthread_cond_t wake;  /* cancelled */
    bool lock_made;
    bool running, cancelled;
};

static inline struct mly__modelled_session *mly__modelled_session_of(mly_session *session)
{
    return (struct mly__modelled_session *)(void *)session;
}

/*
 * modelled_timing.c: what the model says of inputs of these shapes, worked out once. Borrowed until the
 * next call. Errors: those of mly_modelled_create and mly_modelled_segment.
 */
enum mly_status mly__modelled_timing(struct mly__modelled_session *session,
                                     const struct mly_tensor *inputs,
                                     struct mly__modelled_timing **out,
                                     struct mly_error *err) MLY_MUST_CHECK;
void mly__modelled_timings_fini(struct mly__modelled_session *session);

/* modelled_run.c */
enum mly_status mly__modelled_run(mly_session *session, const struct mly_tensor *inputs,
                                  struct mly_tensor *outputs, struct mly_error *err) MLY_MUST_CHECK;
void mly__modelled_cancel(mly_session *session);
uint32_t mly__modelled_copies(const mly_session *session, struct mly_session_copy *copies);

#endif
