/* The back ends that this build has, and those that tests add. */
#include <stdio.h>
#include <string.h>

#include "backend/backend.h"
#include "modelled_session.h"
#include "ort_session.h"

#define MEMBERS_MAX 16

static const struct mly_backend_ops *members[MEMBERS_MAX] = {&mly__ort_ops, &mly__modelled_ops};
static size_t member_count = 2;

const struct mly_backend_ops *mly_backend_at(size_t index)
{
    return index < member_count ? members[index] : NULL;
}

const struct mly_backend_ops *mly_backend_find(const char *name)
{
    for (size_t i = 0; i < member_count; i++)
        if (strcmp(members[i]->name, name) == 0)
            return members[i];
    return NULL;
}

enum mly_status mly_backend_for(const struct mly_processor *processor,
                                const struct mly_backend_ops **out, struct mly_error *err)
{
    char reasons[512] = "";
    size_t length = 0;
    for (size_t i = 0; i < member_count; i++) {
        if (!members[i]->drives(processor->kind))
            continue;
        const char *version;
        struct mly_error why = {0};
        if (members[i]->probe(&version, &why) == MLY_OK) {
            *out = members[i];
            return MLY_OK;
        }
        int wrote = snprintf(reasons + length, sizeof reasons - length, "%s%s: %s",
                             length ? "; " : "", members[i]->name, why.message);
        if (wrote > 0)
            length += (size_t)wrote < sizeof reasons - length ? (size_t)wrote
                                                              : sizeof reasons - length - 1;
    }
    if (length == 0)
        return mly_error_set(err, MLY_E_ABSENT, "%s: no back end drives processors of kind '%s'",
                             processor->id, processor->kind);
    return mly_error_set(err, MLY_E_ABSENT, "%s: no back end is usable: %s", processor->id,
                         reasons);
}

enum mly_status mly_backend_register(const struct mly_backend_ops *ops)
{
    if (mly_backend_find(ops->name))
        return MLY_E_INVALID;
    if (member_count == MEMBERS_MAX)
        return MLY_E_LIMIT;
    members[member_count++] = ops;
    return MLY_OK;
}
