/*
 * What a part of a model costs on a modelled processor: times from a device's constants and the
 * graph's arithmetic and bytes, never measured. Whoever shows such a number says "modelled".
 */
#ifndef MLY_COST_MODELLED_H
#define MLY_COST_MODELLED_H

#include <motley/model.h>
#include <motley/status.h>

#include "device/modelled.h"
#include "model/graph.h"

struct mly_modelled_cost {
    double execution_ns;        /* one run of one batch: inputs there, outputs left there */
    double input_ns, output_ns; /* over the links, of all that crosses */
    double first_ns;            /* what the first run takes longer (weights are loaded) */
    double input_bytes, output_bytes;
    double weight_bytes;     /* as stored on the device */
    double on_chip_bytes;    /* of these, kept on the chip */
    double off_chip_bytes;   /* of these, streamed at each run */
    double activation_bytes; /* peak */
    double macs;
    double energy_j; /* of one run, above idle */
};

/* One device, model and batch: what all segments share is worked out once. */
typedef struct mly_modelled mly_modelled;

/*
 * device and model are borrowed until destroy. bindings give sizes to symbolic dimensions (others
 * count as 1). *out is the caller's. Errors: MLY_E_INVALID for a batch the model does not take;
 * MLY_E_NO_MEMORY. O(nodes).
 */
enum mly_status mly_modelled_create(const struct mly_device_model *device, const mly_model *model,
                                    uint32_t batch, const struct mly_dim_binding *bindings,
                                    size_t binding_count, mly_modelled **out,
                                    struct mly_error *err) MLY_MUST_CHECK;
void mly_modelled_destroy(mly_modelled *modelled);

/*
 * Cost of a convex set of nodes (ascending indices) as one segment; count 0 means all nodes.
 * MLY_E_UNSUPPORTED names a node that the device cannot compute; MLY_E_LIMIT: more than its memory.
 * O(count). Thread-safe.
 */
enum mly_status mly_modelled_segment(const mly_modelled *modelled, const uint32_t *nodes,
                                     uint32_t count, struct mly_modelled_cost *out,
                                     struct mly_error *err) MLY_MUST_CHECK;
/* Time of a number of bytes over a link. */
double mly_device_link_ns(const struct mly_device_link *link, double bytes);

#endif
