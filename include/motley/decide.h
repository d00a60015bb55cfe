/* Deciding: from a model and a box to a plan, measuring what is not known yet. */
#ifndef MOTLEY_DECIDE_H
#define MOTLEY_DECIDE_H

#include <stdbool.h>
#include <stdint.h>

#include <motley/device.h>
#include <motley/model.h>
#include <motley/plan.h>
#include <motley/status.h>

MLY_BEGIN_DECLS

struct mly_decide_options {
    const char *planner;          /* NULL: "auto" */
    enum mly_objective objective;
    uint32_t batch;               /* 0: motley chooses */
    uint32_t groups;              /* core groups; 0: motley chooses */
    int64_t budget_ns;            /* time that measuring may take; 0: 40 s */
    bool again;                   /* measure anew even if measurements are stored */
    /*
     * Called from the calling thread while measuring; may be NULL. fraction is in [0, 1]. Returns false to stop: what is
     * measured so far is stored, and mly_decide returns MLY_E_CANCELLED.
     */
    bool (*progress)(double fraction, const char *text, void *user);
    void *user;
};

/*
 * Measures the model on this machine (or uses the stored measurements) and plans. options may be NULL. *out is
 * owned by the caller (mly_plan_destroy).
 * Errors: MLY_E_UNSUPPORTED or MLY_E_BACKEND if no runtime can run the model (with its reason and node),
 * MLY_E_ABSENT without a usable processor. Takes up to the budget the first time, milliseconds afterwards.
 * Not thread-safe for the same model object.
 */
MLY_API enum mly_status mly_decide(mly_model *model, const mly_machine *machine,
                                   const struct mly_decide_options *options, mly_plan **out,
                                   struct mly_error *err) MLY_MUST_CHECK;

MLY_END_DECLS

#endif
