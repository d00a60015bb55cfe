/* Shared by the files that cut; for src/model only. */
#ifndef MLY_MODEL_SEGMENT_PRIVATE_H
#define MLY_MODEL_SEGMENT_PRIVATE_H

#include "model.h"

/* *leaving and *returning are MLY_NO_INDEX when the set (inside[node_count]) is convex. Only
 * MLY_E_NO_MEMORY. */
enum mly_status mly__convex(const struct mly_graph *graph, const bool *inside, uint32_t *leaving,
                            uint32_t *returning, struct mly_error *err) MLY_MUST_CHECK;

/* What a tensor is to a segment; bits. */
enum {
    MLY__TOUCHED = 1, /* read or made */
    MLY__GOES_IN = 2,
    MLY__GOES_OUT = 4,
    MLY__STORED = 8, /* its initialiser comes along */
    MLY__COPIED = 16 /* the node of another segment that makes it comes along, copied */
};

/* Is it a Constant node? Its output goes where it is used, as initialisers do, and never crosses. */
bool mly__is_constant(const struct mly_graph *graph, uint32_t node);
/* A Constant, or a DequantizeLinear of constant scale: a segment that reads what it makes gets a copy
 * of the node. */
bool mly__is_copied(const struct mly_graph *graph, uint32_t node);

/* One extraction under way. */
struct mly__cut {
    const mly_model *model;
    bool *inside;  /* by node */
    uint8_t *role; /* by tensor */
    bool whole;
    bool observed;           /* all that nodes make goes out */
    bool only_copied;        /* all nodes of the set are such as are copied */
    struct mly__arena arena; /* shallow messages, until they are packed */
    bool *region_used;       /* by region */
    struct mly_segment *out;
};

/* segment_pack.c: writes out->onnx and out->regions from the rest. */
enum mly_status mly__segment_pack(struct mly__cut *cut, struct mly_error *err) MLY_MUST_CHECK;

/* segment_save.c: mly_segment_save with the limit given, for tests: weights go beside the model
 * when it would be over it. */
enum mly_status mly__segment_save(const struct mly_segment *segment, const char *path,
                                  uint64_t inside_max_bytes, struct mly_error *err) MLY_MUST_CHECK;

#endif
