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

/* One direction of a link. */
struct mly_device_link {
    double latency_ns;
    double bytes_per_s;
};

/* Immutable. Borrowed from the library's list: valid until the process ends. */
struct mly_device_model {
    char name[32];         /* "edgetpu-pcie": the processor kind, and the name of the file */
    char description[128]; /* "Coral Edge TPU on PCIe Gen2 x1" */
    char path[256];        /* file it came from */
    enum mly_device_family family;
    double macs_per_s[MLY_DTYPE_COUNT]; /* peak multiply-accumulates by type; 0: cannot compute it */
    double memory_bytes_per_s, memory_bytes;
    double on_chip_bytes; /* for weights (Edge TPU) or cache; 0: none */
    double launch_ns;     /* fixed cost of running a segment */
    double node_ns;       /* fixed cost of each operator */
    double half_batch;    /* batch at which half the peak is reached; 0: always the peak */
    struct mly_device_link to_device, to_host;
    double idle_w, active_w;
    struct {
        double reserve_bytes;      /* of on_chip_bytes, not for weights, besides activations */
        double activation_bytes;   /* of tile memory: beyond it weights are read again */
        double lanes;              /* output channels are padded to a multiple */
        double conv_macs_per_s, fc_macs_per_s;
        double stream_bytes_per_s; /* weights that are not on chip */
    } edgetpu;
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

#endif
