/*
 * What every executor must do, whatever runs below it. A new executor adds a row to `executors` in
 * executor_contract.c and passes all of it. Order of events is made by the fake back end's gates.
 */
#ifndef MOTLEY_TEST_EXECUTOR_CONTRACT_H
#define MOTLEY_TEST_EXECUTOR_CONTRACT_H

#include "support/executor_rig.h"
#include "support/expect.h"

/* Who gets what waits while a processor is busy. */
enum contract_sharing {
    CONTRACT_ANY, /* the oldest first, to whoever is idle: nothing is tied to a busy one beforehand */
    CONTRACT_TURNS, /* request n is of processor n mod r */
    CONTRACT_LOOSE  /* any, or tied to one when it becomes ready: StarPU's dmda */
};

struct contract_executor {
    const char *name;
    rig_create_fn create;
    enum contract_sharing sharing;
    bool starpu;
};

extern const struct contract_executor *executor; /* under test */
extern struct rig rig;
extern struct rig_batch batches[1024];

/* Whole model, chain of three, diamond; outputs that are read later; replicas. */
extern const char *const contract_whole[1],
    *const contract_two_replicas[1], *const contract_chain[3], *const contract_diamond[4],
                                                                   *const contract_tangled[4];

void contract_open(const struct mly_backend_ops *ops, const struct mly_engine_options *options,
                   const char *inputs, const char *outputs, uint32_t processors,
                   const char *const *segments, uint32_t count);
void contract_open_whole(const struct mly_engine_options *options);
/* Of batches[from … to - 1]. */
void contract_release(uint32_t from, uint32_t to);
/* Tag t is batches[t - 1]; sends tags first…last. */
void contract_send(int64_t first, int64_t last);
enum mly_status contract_wait(int64_t tag, struct mly_error *err);
void contract_expect_all(int64_t first, int64_t last, enum mly_status status);

/* All tests with each executor that is here; the exit status. */
int contract_run(const struct CMUnitTest *tests, size_t count);

#endif
