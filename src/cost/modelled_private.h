/*
 * What the files of modelled costs share: a node's arithmetic, worked out once per model and batch,
 * and a walk over the nodes of a segment.
 */
#ifndef MLY_COST_MODELLED_PRIVATE_H
#define MLY_COST_MODELLED_PRIVATE_H

#include "cost/modelled.h"
#include "cost/modelled_parts.h"

enum mly__modelled_kind {
    MLY__MODELLED_VIEW,    /* the same bytes under another shape, or constants: costs nothing */
    MLY__MODELLED_FOLLOWS, /* activation or scaling that is computed with what makes its input */
    MLY__MODELLED_MATRIX,  /* convolution or matrix product with stored weights */
    MLY__MODELLED_OTHER
};

/* One node. Sizes are of the whole batch; elements count as bytes where 8 bits each are meant. */
struct mly__modelled_node {
    enum mly__modelled_kind kind;
    bool supported;       /* by an Edge TPU */
    const char *why;      /* not, where the operator alone does not say it: " of …"; else "" */
    const char *instead;  /* what an Edge TPU has that does the same; else "" */
    bool moves;           /* only puts tensors together or apart */
    bool is_convolution;  /* of MLY__MODELLED_MATRIX */
    enum mly_dtype dtype; /* of its arithmetic */
    double macs, other_flops;
    double weight_bytes; /* as in the file */
    double weight_elements;
    double input_bytes, output_bytes;       /* activations, as in the file */
    double input_elements, output_elements; /* activations */
    double out_channels, depth; /* of MLY__MODELLED_MATRIX: columns, and rows of its weights */
    double taps;                /* places of a convolution's window; 1 for a product */
    /* activations as they lie on an Edge TPU's tiles, channels padded; and with the borders that windows reach over */
    double lying_elements, bordered_elements;
    double positions; /* results per output channel */
};

struct mly_modelled {
    const struct mly_device_model *device;
    const mly_model *model;
    const struct mly_graph *graph;
    double batch;
    struct mly__modelled_node *nodes; /* [node_count] */
    double *tensor_bytes;             /* [tensor_count], as in the file; constants 0 */
    double *tensor_elements;
    bool *constant; /* [tensor_count]: stored, or made of what is stored */
};

/* A segment as the families see it. */
struct mly__modelled_segment {
    const mly_modelled *modelled;
    const uint32_t *nodes; /* ascending; NULL stands for all */
    uint32_t count;
};
static inline uint32_t mly__modelled_node_at(const struct mly__modelled_segment *segment,
                                             uint32_t i)
{
    return segment->nodes ? segment->nodes[i] : i;
}
bool mly__modelled_has(const struct mly__modelled_segment *segment, uint32_t node);
/*
 * Whether a node adds no work of its own here: a view, or an activation whose producer is in the
 * segment.
 */
bool mly__modelled_is_free(const struct mly__modelled_segment *segment, uint32_t node);

/* modelled_ops.c: fills node_count nodes, constant and sizes. */
void mly__modelled_describe(mly_modelled *modelled, const struct mly_shape *shapes);

/*
 * The families. What crosses and the peak of activations (elements if 8 bits each) are in *out
 * already.
 */
enum mly_status mly__modelled_roofline(const struct mly__modelled_segment *segment,
                                       struct mly_modelled_cost *out,
                                       struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly__modelled_edgetpu(const struct mly__modelled_segment *segment,
                                      struct mly_modelled_cost *out,
                                      struct mly_error *err) MLY_MUST_CHECK;
/* modelled_tiles.c: pieces that a node's weights lie in. */
uint32_t mly__modelled_pieces(const struct mly_device_model *device,
                              const struct mly__modelled_node *node);
/* The families' nodes: what one adds to a segment. */
void mly__modelled_roofline_part(const struct mly__modelled_segment *segment, uint32_t node,
                                 struct mly_modelled_part *out);
void mly__modelled_edgetpu_part(const struct mly__modelled_segment *segment, uint32_t node,
                                struct mly_modelled_part *out);

#endif
