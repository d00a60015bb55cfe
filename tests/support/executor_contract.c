/* Executors by name, and what the tests of their contract share. */
#include "support/executor_contract.h"

#include "runtime/native.h"
#include "runtime/starpu.h"

static enum mly_status native_earliest(struct mly_flow *flow,
                                       const struct mly_engine_options *options, mly_engine **out,
                                       struct mly_error *err)
{
    return mly__engine_create_flow(flow, options, MLY_SCHEDULE_EARLIEST, out, err);
}

static enum mly_status native_pinned(struct mly_flow *flow,
                                     const struct mly_engine_options *options, mly_engine **out,
                                     struct mly_error *err)
{
    return mly__engine_create_flow(flow, options, MLY_SCHEDULE_PINNED, out, err);
}

static enum mly_status on_starpu(struct mly_flow *flow, const struct mly_engine_options *options,
                                 const char *name, mly_engine **out, struct mly_error *err)
{
    struct mly_engine_options with = options ? *options : (struct mly_engine_options){0};
    with.executor = name;
    return mly__engine_create_flow(flow, &with, MLY_SCHEDULE_EARLIEST, out, err);
}

static enum mly_status starpu_dmda(struct mly_flow *flow, const struct mly_engine_options *options,
                                   mly_engine **out, struct mly_error *err)
{
    return on_starpu(flow, options, "starpu:dmda", out, err);
}

static enum mly_status starpu_eager(struct mly_flow *flow, const struct mly_engine_options *options,
                                    mly_engine **out, struct mly_error *err)
{
    return on_starpu(flow, options, "starpu:eager", out, err);
}
static const struct contract_executor executors[] = {
    {"native, earliest", native_earliest, CONTRACT_ANY, false},
    {"native, pinned", native_pinned, CONTRACT_TURNS, false},
    {"starpu, eager", starpu_eager, CONTRACT_ANY, true},
    {"starpu, dmda", starpu_dmda, CONTRACT_LOOSE, true},
};

const struct contract_executor *executor;
struct rig rig;
struct rig_batch batches[1024];

const char *const contract_whole[1] = {"0>1@0"};
const char *const contract_two_replicas[1] = {"0>1@0 1"};
const char *const contract_chain[3] = {"0>1@0", "1>2@1", "2>3@2"};
const char *const contract_diamond[4] = {"0>1 2@0", "1>3@1", "2>4@2", "3 4>5@0"};
const char *const contract_tangled[4] = {"0 1>2 3@0 1", "2 0>4@1 2", "3 4 2>5 6@0 2",
                                         "6 1 4>7@0 1 2"};

void contract_open(const struct mly_backend_ops *ops, const struct mly_engine_options *options,
                   const char *inputs, const char *outputs, uint32_t processors,
                   const char *const *segments, uint32_t count)
{
    rig_open(&rig, executor->create, ops, options, inputs, outputs, processors, segments, count);
}

void contract_open_whole(const struct mly_engine_options *options)
{
    contract_open(&fake_ops, options, "0", "1", 1, contract_whole, 1);
}

void contract_release(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        mly_request_release(batches[i].request);
}

/* Tag t is batches[t - 1]; sends tags first…last. */
void contract_send(int64_t first, int64_t last)
{
    for (int64_t tag = first; tag <= last; tag++)
        rig_send(&rig, &batches[tag - 1], tag);
}

enum mly_status contract_wait(int64_t tag, struct mly_error *err)
{
    return mly_request_wait(batches[tag - 1].request, err);
}

void contract_expect_all(int64_t first, int64_t last, enum mly_status status)
{
    for (int64_t tag = first; tag <= last; tag++) {
        const struct rig_batch *batch = &batches[tag - 1];
        assert_int_equal(contract_wait(tag, NULL), status);
        assert_int_equal(batch->status, status);
        assert_int_equal(batch->done_calls, 1);
        assert_int_equal(batch->right, status == MLY_OK);
    }
}

int contract_run(const struct CMUnitTest *tests, size_t count)
{
    int failures = 0;
    struct mly_error why = {0};
    bool has_starpu = mly__starpu_probe(NULL, NULL, NULL, &why) == MLY_OK;
    for (size_t i = 0; i < sizeof executors / sizeof *executors; i++) {
        executor = &executors[i];
        if (executor->starpu && !has_starpu) {
            printf("# %s\nok - %s # SKIP\n", why.message, executor->name);
            continue;
        }
        failures += _cmocka_run_group_tests(executor->name, tests, count, NULL, NULL);
    }
    return failures;
}
