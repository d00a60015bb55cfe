/*
 * The plans of a family in one engine.
 *
 *   1. The first one is open when the engine is created, and serves. A thread opens the others: the last one,
 *      which can take most, then the others in their order.
 *   2. One that cannot be opened, or would bring the predicted memory of all over the limit, is left out,
 *      with a word in the log.
 *   3. Which of them new requests run by is the business of ways.c. Requests under way end as they began.
 */
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "runtime/native.h"

/* (2) With what of it is shared counting once. */
static bool has_memory(const mly_engine *engine, uint32_t index, double used_bytes,
                       double *own_bytes)
{
    *own_bytes =
        engine->memory_bytes[index] * mly__variant_own_share(engine, &engine->variants[index]);
    return engine->memory_limit_bytes <= 0 || used_bytes + *own_bytes <= engine->memory_limit_bytes;
}

/* Opened beside the variant, which others may look at meanwhile, and shown when complete. */
static bool open_variant(mly_engine *engine, uint32_t index)
{
    struct mly__variant *variant = &engine->variants[index];
    struct mly__variant opened = {.flow = variant->flow};
    struct mly_error why = {0};
    enum mly_status status = mly__variant_open(engine, &opened, &why);
    if (status != MLY_OK) {
        if (status != MLY_E_CANCELLED)
            mly_log(MLY_LOG_WARNING, "plan %" PRIu32 " of the family is left out: %s", index + 1,
                    why.message);
        return false;
    }
    pthread_mutex_lock(&engine->crew->lock);
    variant->seats = opened.seats;
    engine->ways.ready[index] = true;
    pthread_mutex_unlock(&engine->crew->lock);
    return true;
}

/* (1) */
static void *opener_main(void *argument)
{
    mly_engine *engine = argument;
    double used_bytes = engine->memory_bytes[0];
    const uint32_t last = engine->variant_count - 1;
    for (uint32_t turn = 0; turn < last && !atomic_load(&engine->stop_opening); turn++) {
        uint32_t index = turn == 0 ? last : turn;
        double own_bytes;
        if (!has_memory(engine, index, used_bytes, &own_bytes))
            mly_log(MLY_LOG_WARNING,
                    "plan %" PRIu32 " of the family is left out: with it the sessions would take "
                    "%.0f MiB, more than the %.0f MiB that they may",
                    index + 1, (used_bytes + own_bytes) / 0x1p20,
                    engine->memory_limit_bytes / 0x1p20);
        else if (open_variant(engine, index))
            used_bytes += own_bytes;
    }
    pthread_mutex_lock(&engine->crew->lock);
    engine->to_open = 0;
    pthread_cond_broadcast(&engine->opened);
    pthread_mutex_unlock(&engine->crew->lock);
    return NULL;
}

/* Signals are the business of the program's own threads, so ours block them all. */
enum mly_status mly__variants_begin(mly_engine *engine, struct mly_error *err)
{
    sigset_t all, before;
    if (engine->variant_count < 2)
        return MLY_OK;
    engine->to_open = engine->variant_count - 1; /* nobody else knows the engine yet */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&engine->opener, NULL, opener_main, engine);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    engine->has_opener = error == 0;
    return error == 0 ? MLY_OK
                      : mly_error_set(err, MLY_E_LIMIT,
                                      "cannot start a thread for the plans of a family: %s",
                                      strerror(error));
}

void mly__variants_stop(mly_engine *engine)
{
    if (!engine->has_opener)
        return;
    atomic_store(&engine->stop_opening, true);
    pthread_join(engine->opener, NULL);
    engine->has_opener = false;
}

void mly__variants_await(mly_engine *engine)
{
    pthread_mutex_lock(&engine->crew->lock);
    while (engine->to_open > 0)
        pthread_cond_wait(&engine->opened, &engine->crew->lock);
    pthread_mutex_unlock(&engine->crew->lock);
}
