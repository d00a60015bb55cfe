/*
 * The Edge TPU's memory for weights, tile by tile.
 *
 * 1. A layer's weights lie in pieces: the 64 lanes of output channels that a tile computes at once; of
 *    a convolution each of these in four. A piece lies in one tile.
 * 2. Layers of the largest pieces are placed first, each on the tiles with most room; one of which a
 *    piece finds no tile is streamed, and the next one tried.
 *
 * This gives what the compiler reports for networks of equal layers and of unequal ones: of a layer of
 * 6912 x 1042, 17 pieces of 432 KiB, one tile would have to hold two, so that it is streamed though
 * its 7.2 MiB are less than the whole memory.
 */
#include <math.h>

#include "modelled_private.h"

#define PIECES_OF_CONVOLUTION 4

uint32_t mly__modelled_pieces(const struct mly_device_model *device,
                              const struct mly__modelled_node *node)
{
    if (node->kind != MLY__MODELLED_MATRIX)
        return (uint32_t)device->edgetpu.tiles;
    double groups = ceil(node->out_channels / device->edgetpu.lanes);
    double pieces = fmax(groups, 1) * (node->is_convolution ? PIECES_OF_CONVOLUTION : 1);
    return pieces < UINT32_MAX ? (uint32_t)pieces : UINT32_MAX;
}

void mly_modelled_tiles_init(const mly_modelled *modelled, double input_bytes,
                             struct mly_modelled_tiles *out)
{
    const struct mly_device_model *device = modelled->device;
    double room = device->on_chip_bytes - device->edgetpu.reserve_bytes -
                  device->edgetpu.reserve_share * input_bytes / modelled->batch;
    out->count = (uint32_t)device->edgetpu.tiles;
    for (uint32_t i = 0; i < out->count; i++)
        out->room_bytes[i] = fmax(room, 0) / out->count;
}

bool mly_modelled_tiles_first(double a_bytes, uint32_t a_pieces, double b_bytes, uint32_t b_pieces)
{
    double a = a_bytes / a_pieces, b = b_bytes / b_pieces;
    return a != b ? a > b : a_bytes > b_bytes;
}

/* Whole pieces that the tiles have room for, seen up to `enough`; *fewest: of any tile. */
static double slots(const struct mly_modelled_tiles *tiles, double piece_bytes, double enough,
                    double *fewest)
{
    double sum = 0, here = 0;
    *fewest = fmax(0, fmin(enough, floor(tiles->room_bytes[tiles->count - 1] / piece_bytes)));
    if (*fewest * tiles->count >= enough)
        return enough;
    for (uint32_t i = 0; i < tiles->count && sum < enough; i++) {
        if (i == 0 || tiles->room_bytes[i] != tiles->room_bytes[i - 1])
            here = fmax(0, floor(tiles->room_bytes[i] / piece_bytes));
        sum += here;
    }
    return sum;
}

/* A piece into the tile with most room, which finds its new place in the order. */
static void place_one(struct mly_modelled_tiles *tiles, double piece_bytes)
{
    const double room = tiles->room_bytes[0] - piece_bytes;
    uint32_t at = 0;
    for (; at + 1 < tiles->count && tiles->room_bytes[at + 1] > room; at++)
        tiles->room_bytes[at] = tiles->room_bytes[at + 1];
    tiles->room_bytes[at] = room;
}

/* A piece each into the `count` tiles with most room; both halves are in order, and are merged. */
static void place_each(struct mly_modelled_tiles *tiles, double piece_bytes, uint32_t count)
{
    double taken[MLY_DEVICE_TILES_MAX];
    uint32_t a = 0, b = count;
    for (uint32_t i = 0; i < count; i++)
        taken[i] = tiles->room_bytes[i] - piece_bytes;
    for (uint32_t to = 0; a < count; to++)
        tiles->room_bytes[to] = b < tiles->count && tiles->room_bytes[b] > taken[a]
                                    ? tiles->room_bytes[b++]
                                    : taken[a++];
}

bool mly_modelled_tiles_place(struct mly_modelled_tiles *tiles, double weight_bytes,
                              uint32_t pieces)
{
    double piece_bytes = weight_bytes / pieces, each;
    if (weight_bytes <= 0)
        return true;
    if (slots(tiles, piece_bytes, pieces, &each) < pieces)
        return false;
    /* The same number everywhere first, as far as that goes; the rest one by one. */
    each = fmin(each, floor((double)pieces / tiles->count));
    for (uint32_t i = 0; each > 0 && i < tiles->count; i++)
        tiles->room_bytes[i] -= each * piece_bytes;
    uint32_t left = pieces - (uint32_t)each * tiles->count;
    /* One each: the first, with its piece, has then no more room than the last of them before. */
    if (left && left <= tiles->count &&
        tiles->room_bytes[0] - piece_bytes <= tiles->room_bytes[left - 1]) {
        place_each(tiles, piece_bytes, left);
        return true;
    }
    for (; left > 0; left--)
        place_one(tiles, piece_bytes);
    return true;
}
