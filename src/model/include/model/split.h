/* A graph cut into parts, written as files that any runtime reads. */
#ifndef MLY_MODEL_SPLIT_H
#define MLY_MODEL_SPLIT_H

#include "model/cut.h"
#include "model/segment.h"

/* What is to be written. All borrowed. */
struct mly_split {
    const mly_model *model;
    const uint32_t *part_of_node; /* by node; as those of model/cut.h fill it */
    uint32_t part_count;
    const struct mly_shape
        *shapes; /* by tensor, bound to a batch: what the manifest's sizes are for */
    int64_t batch;
    /*
     * Weights stay in the model's own files, which are hard-linked into the folder; else every segment
     * has its own in it.
     */
    bool link_weights;
    /* Called before each segment is written, with how many are; false stops (may be NULL). */
    bool (*go_on)(uint32_t written, void *user);
    void *user;
};

/* One part of a split. */
struct mly_split_part {
    struct mly_segment segment;
    char name[16];     /* "s0" */
    double macs;       /* of nodes whose arithmetic is known */
    double parameters; /* elements of the initialisers that come along */
    double weight_bytes;
};

/*
 * The parts of a split, in order: *parts is an array of split->part_count, owned by the caller
 * (mly_split_parts_fini). Errors: those of mly_segment_extract, of which a part without nodes and one
 * that nothing needs are MLY_E_INVALID; MLY_E_NO_MEMORY.
 */
enum mly_status mly_split_parts(const struct mly_split *split, struct mly_split_part **parts,
                                struct mly_error *err) MLY_MUST_CHECK;
void mly_split_parts_fini(struct mly_split_part *parts, uint32_t count);

/*
 * Writes s0.onnx, s1.onnx, … and manifest.json (docs/reference/formats.md) into a new folder, or an empty
 * one that is there. It appears under its name when all is written; a failure leaves nothing.
 * Errors: MLY_E_INVALID for a folder that has something in it, or where weights cannot be linked (another
 * file system; the model's own file named like a segment); MLY_E_NOT_FOUND for a folder's folder that is
 * not there; MLY_E_CANCELLED when go_on said so; MLY_E_MISMATCH for a model whose files were written to;
 * MLY_E_IO, MLY_E_NO_SPACE, MLY_E_NO_MEMORY.
 */
enum mly_status mly_split_save(const struct mly_split *split, const struct mly_split_part *parts,
                               const char *folder, struct mly_error *err) MLY_MUST_CHECK;

#endif
