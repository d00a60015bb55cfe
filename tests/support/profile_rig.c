#include "support/profile_rig.h"

#include <pthread.h>

#include "backend/backend.h"
#include "base/alloc.h"
#include "unit/test_model_wire.h"

struct mly_session {
    struct mly_session_info info;
    uint32_t threads;
    bool spin, profiled;
    bool cancelled; /* under the lock */
};

enum { KINDS = 256 };

static struct {
    pthread_mutex_t lock; /* protects all below */
    pthread_cond_t changed;
    struct counting_orders orders;
    uint64_t opens, runs;
    int sessions, tensors, held;
    struct kind {
        uint32_t threads, batch;
        bool spin;
        uint64_t runs;
    } kinds[KINDS];
    uint32_t kind_count;
} counting = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static bool hits(uint64_t *left)
{
    return *left > 0 && --*left == 0;
}

static enum mly_status counting_probe(const char **version, struct mly_error *err)
{
    (void)err;
    *version = counting.orders.version ? counting.orders.version : "1";
    return MLY_OK;
}

static bool counting_drives(const char *kind)
{
    (void)kind;
    return false; /* only where it is asked for by name */
}

static enum mly_status counting_open(const mly_model *model, const struct mly_segment *segment,
                                     const struct mly_session_options *options, mly_session **out,
                                     struct mly_error *err)
{
    (void)model;
    assert_true(options->threads <= options->processor->cpu_count);
    mly_session *session = mly_alloc(sizeof *session);
    if (!session)
        return mly_error_set(err, MLY_E_NO_MEMORY, "counting: no memory for a session");
    session->info.input_count = segment->input_count;
    session->info.output_count = segment->output_count;
    session->threads = options->runtime_defaults ? 0 : options->threads;
    session->spin = !options->runtime_defaults && options->spin;
    session->profiled = options->profile_nodes;
    pthread_mutex_lock(&counting.lock);
    bool fails = hits(&counting.orders.fail_open);
    counting.opens++;
    counting.sessions += !fails;
    pthread_mutex_unlock(&counting.lock);
    if (fails) {
        mly_free(session);
        return mly_error_set(err, MLY_E_UNSUPPORTED, "counting: this one cannot be opened");
    }
    *out = session;
    return MLY_OK;
}

static void counting_close(mly_session *session)
{
    pthread_mutex_lock(&counting.lock);
    counting.sessions--;
    pthread_mutex_unlock(&counting.lock);
    mly_free(session);
}

static const struct mly_session_info *counting_info(const mly_session *session)
{
    return &session->info;
}

static void counting_cancel(mly_session *session)
{
    pthread_mutex_lock(&counting.lock);
    session->cancelled = true;
    pthread_cond_broadcast(&counting.changed);
    pthread_mutex_unlock(&counting.lock);
}

static void count_run(const mly_session *session, uint32_t batch)
{
    counting.runs++;
    for (uint32_t i = 0; i <= counting.kind_count; i++) {
        struct kind *kind = &counting.kinds[i];
        assert_true(i < KINDS);
        if (i == counting.kind_count) {
            *kind = (struct kind){session->threads, batch, session->spin, 0};
            counting.kind_count++;
        }
        if (kind->threads == session->threads && kind->batch == batch &&
            kind->spin == session->spin) {
            kind->runs++;
            return;
        }
    }
}

static bool all_are(const struct mly_tensor *tensor, float value)
{
    const float *values = tensor->data;
    for (size_t i = 0; i < tensor->size_bytes / sizeof *values; i++)
        if (values[i] < value || values[i] > value)
            return false;
    return true;
}

/* With the lock held. */
static enum mly_status obey(mly_session *session, const struct mly_tensor *inputs, uint32_t batch,
                            struct mly_error *err)
{
    struct counting_orders *orders = &counting.orders;
    bool zeros = session->info.input_count && all_are(&inputs[0], 0);
    bool ones = session->info.input_count && all_are(&inputs[0], 1);
    session->cancelled = false;
    while (orders->hold && !session->cancelled) {
        counting.held++;
        pthread_cond_broadcast(&counting.changed);
        pthread_cond_wait(&counting.changed, &counting.lock);
        counting.held--;
    }
    if (session->cancelled)
        return mly_error_set(err, MLY_E_CANCELLED, "counting: cancelled");
    if (hits(&orders->fail_run))
        return mly_error_set(err, MLY_E_BACKEND, "counting: told to fail");
    if (orders->fail_batch && batch >= orders->fail_batch)
        return mly_error_set(err, orders->fail_status, "counting: batch %u is too large", batch);
    if ((orders->refuses_random && !zeros && !ones) || (orders->refuses_zeros && zeros) ||
        (orders->refuses_ones && ones))
        return mly_error_set(err, MLY_E_BACKEND, "counting: an index is out of range");
    return MLY_OK;
}

static void release_output(void *owner)
{
    mly_free(owner);
    pthread_mutex_lock(&counting.lock);
    counting.tensors--;
    pthread_mutex_unlock(&counting.lock);
}

static enum mly_status counting_run(mly_session *session, const struct mly_tensor *inputs,
                                    struct mly_tensor *outputs, struct mly_error *err)
{
    uint32_t batch = session->info.input_count && inputs[0].shape.rank > 0
                         ? (uint32_t)inputs[0].shape.dims[0]
                         : 1;
    pthread_mutex_lock(&counting.lock);
    count_run(session, batch);
    enum mly_status status = obey(session, inputs, batch, err);
    bool refuses = counting.orders.changing_shapes;
    pthread_mutex_unlock(&counting.lock);
    for (uint32_t i = 0; status == MLY_OK && i < session->info.output_count; i++) {
        if (outputs[i].data) {
            if (refuses)
                status = mly_error_set(err, MLY_E_MISMATCH, "counting: another shape");
            continue;
        }
        status = mly_tensor_init(MLY_DTYPE_F32, &(struct mly_shape){.rank = 0}, &outputs[i], err);
        if (status != MLY_OK)
            break;
        outputs[i].release = release_output;
        pthread_mutex_lock(&counting.lock);
        counting.tensors++;
        pthread_mutex_unlock(&counting.lock);
    }
    return status;
}

static enum mly_status counting_node_times(mly_session *session, struct mly_node_times *out,
                                           struct mly_error *err)
{
    const struct counting_orders *orders = &counting.orders;
    assert_true(session->profiled);
    if (orders->no_node_times)
        return mly_error_set(err, MLY_E_BACKEND, "counting: no times");
    *out = (struct mly_node_times){.items = (struct mly_node_time *)(uintptr_t)orders->nodes,
                                   .count = orders->node_count};
    return MLY_OK;
}

static const struct mly_backend_ops counting_ops = {.name = COUNTING,
                                                    .description = "does nothing but count",
                                                    .probe = counting_probe,
                                                    .drives = counting_drives,
                                                    .open = counting_open,
                                                    .run = counting_run,
                                                    .close = counting_close,
                                                    .info = counting_info,
                                                    .cancel = counting_cancel,
                                                    .node_times = counting_node_times};

/* --- orders and counts --- */

void counting_reset(const struct counting_orders *orders)
{
    static const struct counting_orders none;
    if (!mly_backend_find(COUNTING))
        assert_int_equal(mly_backend_register(&counting_ops), MLY_OK);
    pthread_mutex_lock(&counting.lock);
    counting.orders = orders ? *orders : none;
    counting.opens = counting.runs = 0;
    counting.kind_count = 0;
    pthread_mutex_unlock(&counting.lock);
}

static uint64_t locked(const uint64_t *number)
{
    pthread_mutex_lock(&counting.lock);
    uint64_t value = *number;
    pthread_mutex_unlock(&counting.lock);
    return value;
}

uint64_t counting_opens(void)
{
    return locked(&counting.opens);
}

uint64_t counting_runs(void)
{
    return locked(&counting.runs);
}

uint64_t counting_runs_of(uint32_t threads, bool spin, uint32_t batch)
{
    uint64_t runs = 0;
    pthread_mutex_lock(&counting.lock);
    for (uint32_t i = 0; i < counting.kind_count; i++) {
        const struct kind *kind = &counting.kinds[i];
        if (kind->threads == threads && kind->spin == spin && kind->batch == batch)
            runs = kind->runs;
    }
    pthread_mutex_unlock(&counting.lock);
    return runs;
}

int counting_left(void)
{
    pthread_mutex_lock(&counting.lock);
    int left = counting.sessions + counting.tensors;
    pthread_mutex_unlock(&counting.lock);
    return left;
}

void counting_wait_held(void)
{
    pthread_mutex_lock(&counting.lock);
    while (counting.held == 0)
        pthread_cond_wait(&counting.changed, &counting.lock);
    pthread_mutex_unlock(&counting.lock);
}

void remarks_take(const char *text, void *user)
{
    struct remarks *remarks = user;
    size_t length = strlen(remarks->text);
    snprintf(remarks->text + length, sizeof remarks->text - length, "%s\n", text);
    remarks->count++;
}

/* --- boxes and models --- */

mly_machine *rig_machine(void)
{
    struct mly_error err = {0};
    mly_machine *machine = NULL;
    expect_ok(mly_machine_create(NULL, &machine, &err), err);
    return machine;
}

uint32_t rig_configs(const mly_machine *machine)
{
    const struct mly_machine_info *info = mly_machine_info(machine);
    uint32_t count = 1;
    for (uint32_t n = 1; n <= info->cores; n++) {
        bool natural = (n & (n - 1)) == 0 || n == info->packages || n == info->numa_nodes ||
                       n == info->last_level_caches || n == info->cores;
        if (natural && info->cores % n == 0)
            count += n < info->cores ? 2 : 1;
    }
    return count;
}

static mly_model *load(struct wire graph)
{
    char *folder = scratch_create();
    const char *path = scratch_path(folder, "free.onnx");
    struct mly_error err = {0};
    mly_model *model = NULL;
    const char *hash;
    wire_save(onnx_model(graph), path);
    expect_ok(mly_model_load(path, NULL, &model, &err), err);
    expect_ok(mly_model_hash(model, &hash, &err), err);
    scratch_remove(folder);
    return model;
}

mly_model *rig_free_dims_model(void)
{
    struct wire g = {0};
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "a", "x", "y"));
    wire_text(&g, 2, "free");
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "N W H"));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("y", F32, "N W H"));
    return load(g);
}

mly_model *rig_nameless_model(void)
{
    struct wire g = {0};
    wire_put(&g, GRAPH_NODE, onnx_node("MatMul", "a", "x state", "y"));
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "b", "any", "z"));
    wire_text(&g, 2, "nameless");
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "1 ?"));
    wire_put(&g, GRAPH_INPUT, onnx_value("state", F32, "2 ?"));
    wire_put(&g, GRAPH_INPUT, onnx_value("any", F32, NULL));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("y", F32, "? ?"));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("z", F32, NULL));
    return load(g);
}
