/* The `starpu` executor of a motley that was built without StarPU's headers: absent, and why. */
#include "runtime/starpu.h"

static enum mly_status absent(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_ABSENT,
                         "this motley was built without StarPU: tools/setup brings its headers");
}

enum mly_status mly__starpu_create(struct mly__crew *crew, const char *policy,
                                   struct mly__starpu **out, struct mly_error *err)
{
    (void)crew;
    (void)policy;
    (void)out;
    return absent(err);
}

enum mly_status mly__starpu_check(const char *policy, struct mly_error *err)
{
    (void)policy;
    return absent(err);
}

enum mly_status mly__starpu_probe(const char **version, char **policies, uint32_t *workers,
                                  struct mly_error *err)
{
    (void)version;
    (void)policies;
    (void)workers;
    return absent(err);
}

/* Nobody has one to call these with. */

void mly__starpu_destroy(struct mly__starpu *starpu)
{
    (void)starpu;
}

enum mly_status mly__starpu_start(struct mly__starpu *starpu, uint32_t wanted,
                                  struct mly_error *err)
{
    (void)starpu;
    (void)wanted;
    return absent(err);
}

struct mly__placer *mly__starpu_placer(struct mly__starpu *starpu)
{
    (void)starpu;
    return NULL;
}

void mly__starpu_submit(struct mly__starpu *starpu, const struct mly__worker *self,
                        struct mly__wakes *wakes)
{
    (void)starpu;
    (void)self;
    (void)wakes;
}

void mly__starpu_purge(struct mly__starpu *starpu)
{
    (void)starpu;
}

void mly__starpu_work(struct mly__starpu *starpu, struct mly__worker *worker)
{
    (void)starpu;
    (void)worker;
}
