/*
 * What single nodes add to the modelled cost of a segment, so that searching among very many segments
 * need not work each of them out: sums of these are what mly_modelled_segment gives, as
 * mly_modelled_parts_ns puts them together, but for activations that are cut off from what makes
 * their input.
 */
#ifndef MLY_COST_MODELLED_PARTS_H
#define MLY_COST_MODELLED_PARTS_H

#include "cost/modelled.h"

/* Of one run of one batch. */
struct mly_modelled_part {
    bool supported;
    double execution_ns; /* its weights on the chip, or all of the segment in the cache */
    double cache_ns;     /* more, where the segment is too large for the cache */
    double stream_ns;    /* more, where its weights do not stay on the chip */
    double weight_bytes; /* as stored */
    uint32_t pieces;     /* of these weights, each in one tile (mly_modelled_tiles_place) */
};

/*
 * What a node adds to a segment that holds nodes[0..count) (ascending; those near it are enough; NULL: the
 * first `count`).
 * Thread-safe. O(log count).
 */
void mly_modelled_node_part(const mly_modelled *modelled, uint32_t node, const uint32_t *nodes,
                            uint32_t count, struct mly_modelled_part *out);

/* What a segment takes besides its nodes. */
struct mly_modelled_fixed {
    double launch_ns; /* every run */
    double stream_ns; /* a run that streams any weights */
    double
        cache_bytes; /* weights and activations fit in the cache up to this; 0: not that family */
    bool spills;     /* weights may be streamed: as mly_modelled_tiles_place finds room for them */
    bool counts_elements; /* a byte for every element that crosses, whatever its type */
};
struct mly_modelled_fixed mly_modelled_fixed(const mly_modelled *modelled);

/* Room for weights on the chip, tile by tile. */
struct mly_modelled_tiles {
    double room_bytes[MLY_DEVICE_TILES_MAX]; /* most first: tiles are alike */
    uint32_t count;
};
/* All of it, but what a segment with so many bytes of inputs needs otherwise. */
void mly_modelled_tiles_init(const mly_modelled *modelled, double input_bytes,
                             struct mly_modelled_tiles *out);
/* Whether room is sought for weights a before b; of those where neither is, for the earlier node. */
bool mly_modelled_tiles_first(double a_bytes, uint32_t a_pieces, double b_bytes, uint32_t b_pieces);
/*
 * Finds room for a node's weights; false, and nothing changes, if there is not enough: they are then
 * streamed. O(tiles), where pieces are many or unequal O(pieces * tiles).
 */
bool mly_modelled_tiles_place(struct mly_modelled_tiles *tiles, double weight_bytes,
                              uint32_t pieces) MLY_MUST_CHECK;

#endif
