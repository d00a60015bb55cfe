/*
 * Modelled processors: what is known of hardware that is not here, read from device files
 * (data/devices/NAME.json; each constant with its source, see docs/reference/formats.md). Times in
 * ns, sizes in bytes, rates per second, power in W. Nothing here computes a time: cost/modelled.h
 * does.
 */
#ifndef MLY_DEVICE_MODELLED_H
#define MLY_DEVICE_MODELLED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>
#include <motley/tensor.h>

enum mly_device_family {
    MLY_DEVICE_ROOFLINE, /* the slower of arithmetic and memory, and a fixed cost per launch */
    MLY_DEVICE_EDGETPU   /* weights on chip or streamed over the link, layer by layer */
};

/* Tiles of an Edge TPU at most. */
#define MLY_DEVICE_TILES_MAX 64

/* One direction of a link. */
struct mly_device_link {
    double latency_ns;
    double bytes_per_s;
};

/* A constant's kind of number: its place in mly_device_constant_at's list. */
enum mly_device_constant {
#define MLY_DEVICE_CONSTANT(enumerator, key, member, unit, min, max, roofline, edgetpu, meaning)   \
    enumerator,
#include "device/modelled_defs.inc"
#undef MLY_DEVICE_CONSTANT
    MLY_DEVICE_CONSTANT_COUNT
};

/* Where a constant comes from, as the file says. */
struct mly_device_origin {
    bool given;   /* the file has it; else its value is 0 */
    bool assumed; /* no source gives it; source may then say why this value */
    char source[160];
};

/* Immutable. Borrowed from the library's list: valid until the process ends. */
struct mly_device_model {
    char name[32];         /* "edgetpu-pcie": the processor kind, and the name of the file */
    char description[128]; /* "Coral Edge TPU on PCIe Gen2 x1" */
    char path[256];        /* file it came from */
    enum mly_device_family family;
    double
        macs_per_s[MLY_DTYPE_COUNT]; /* peak multiply-accumulates by type; 0: cannot compute it */
    double memory_bytes_per_s, memory_bytes;
    double on_chip_bytes; /* for weights (Edge TPU) or cache; 0: none */
    double launch_ns;     /* fixed cost of running a segment */
    double node_ns;       /* fixed cost of each operator */
    double half_batch;    /* batch at which a layer of 116 million multiply-accumulates (3x3, 64
                             channels, 56x56) reaches half the peak; 0: always the peak */
    double efficiency;    /* share of the peak rates that good kernels reach; 0 stands for 1 */
    double result_macs;   /* each result of a convolution or product takes as long as so many
                             multiply-accumulates besides its own: short sums are slow */
    double float_bits;    /* 8, 16, 32 or 64: what floats are computed in; 0: as the model says */
    struct mly_device_link to_device, to_host;
    double idle_w, active_w;
    struct {
        double reserve_bytes;    /* of on_chip_bytes, not for weights, besides activations */
        double reserve_share;    /* and this share of the segment's inputs */
        double activation_bytes; /* of tile memory: beyond it weights are read again */
        double activation_bytes_per_s;
        double tiles;         /* that the memory on the chip consists of */
        double lanes;         /* output channels are padded to a multiple */
        double depth;         /* input channels too */
        double channel_bytes; /* stored for each output channel of a convolution */
        double conv_macs_per_s, fc_macs_per_s;
        double stream_bytes_per_s; /* weights that are not on chip */
        double stream_ns;          /* fixed, of a run that streams any */
        double load_ns; /* fixed, of the first run; the weights come at stream_bytes_per_s */
    } edgetpu;
    struct mly_device_origin origins[MLY_DEVICE_CONSTANT_COUNT];
};

/*
 * All device files: those installed with motley, then the user's (the folder MOTLEY_DEVICES, else
 * devices/ in the user's configuration folder), which replace those of equal name. Read once. A file
 * that is wrong is left out and *word (mly_free; NULL when there is nothing to say) names file,
 * place and rule. NULL past the end. Thread-safe.
 */
enum mly_status mly_device_models_load(char **word, struct mly_error *err) MLY_MUST_CHECK;
const struct mly_device_model *mly_device_model_at(size_t index);
/* NULL when there is none of that name. */
const struct mly_device_model *mly_device_model_find(const char *name);
/* From JSON text; name is for messages. Errors with position and rule. */
enum mly_status mly_device_model_parse(const char *name, const char *text, size_t length,
                                       struct mly_device_model *out,
                                       struct mly_error *err) MLY_MUST_CHECK;
/*
 * The file of a model, every constant with its origin. *text (NUL-terminated) is the caller's
 * (mly_free). MLY_E_NO_MEMORY. What it writes mly_device_model_parse reads back the same.
 */
enum mly_status mly_device_model_format(const struct mly_device_model *model, char **text,
                                        size_t *length, struct mly_error *err) MLY_MUST_CHECK;
/* At most this many bytes are read of a device file. */
#define MLY_DEVICE_TEXT_BYTES_MAX ((size_t)64 << 10)

/* What a constant is; key "idle_w", unit "W". NULL past the end. Static. */
struct mly_device_constant_info {
    const char *key, *unit, *meaning;
    double min, max;
};
const struct mly_device_constant_info *mly_device_constant_at(size_t index);
double mly_device_constant_get(const struct mly_device_model *model, size_t index);
/* Sets the value only, without a check: for calibration. */
void mly_device_constant_set(struct mly_device_model *model, size_t index, double value);
/* "roofline", "edgetpu". Static. */
const char *mly_device_family_name(enum mly_device_family family);

#endif
