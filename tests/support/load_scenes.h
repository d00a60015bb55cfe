/* Plans under load, without a model: what the planners estimate of them, and what the virtual executor gives. */
#ifndef MLY_TESTS_LOAD_SCENES_H
#define MLY_TESTS_LOAD_SCENES_H

#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

enum { LOAD_SCENE_PARTS = 8, LOAD_SCENE_PROCESSORS = 4 };

struct load_scene {
    const char *name;
    uint32_t parts, processors;
    const char *outputs;
    const char *segments[LOAD_SCENE_PARTS]; /* as of fake_flow_init; tensor 0 is the input */
    double ms[LOAD_SCENE_PARTS][LOAD_SCENE_PROCESSORS];
    /* How far the estimate may be from the virtual executor, relative: up to a load of 80 %, and at 90 %. */
    double bound, bound_at_most;
};

extern const struct load_scene load_scenes[];
extern const size_t load_scene_count;
extern const double load_scene_loads[];
extern const size_t load_scene_load_count;

/* From a full batch to its end, in ms: both may fail for want of memory only. share: of what the plan can take. */
enum mly_status load_scene_estimate(const struct load_scene *scene, uint32_t batch, double share,
                                    double *ms, struct mly_error *err) MLY_MUST_CHECK;
/* The same of so many batches on the virtual clock, filled by samples that come at random. */
enum mly_status load_scene_simulate(const struct load_scene *scene, uint32_t batch, double share,
                                    uint32_t count, double *ms,
                                    struct mly_error *err) MLY_MUST_CHECK;

#endif
