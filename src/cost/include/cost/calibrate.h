/*
 * Calibration: measurements as people write them down, and a device's constants fitted to them.
 */
#ifndef MLY_COST_CALIBRATE_H
#define MLY_COST_CALIBRATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cost/modelled.h"
#include "device/modelled.h"

/* One line of a file of measurements. */
struct mly_measurement {
    char *model; /* a file or a network of the zoo, as written */
    uint32_t batch;
    double time_ns;                       /* of one run of one batch */
    bool links;                           /* with what its inputs and outputs take over the links */
    double on_chip_bytes, off_chip_bytes; /* of weights; -1 where not given */
    uint32_t line;                        /* in the file, from 1 */
};
/* Zero-initialised is a valid empty list. */
struct mly_measurement_list {
    struct mly_measurement *items;
    size_t count;
};
void mly_measurement_list_fini(struct mly_measurement_list *list);

/* At most this much is read of a file of measurements. */
#define MLY_MEASUREMENT_BYTES_MAX ((size_t)4 << 20)
#define MLY_MEASUREMENT_ROWS_MAX 10000u
/*
 * Comma-separated values with a line of names first: model and time_ms; batch, links (yes or no),
 * on_chip_mib and off_chip_mib if wanted. Lines that begin with # and empty ones are skipped; a value
 * may stand in double quotes. *out: free with mly_measurement_list_fini. MLY_E_FORMAT with
 * "NAME:LINE: column: rule"; MLY_E_LIMIT; MLY_E_NO_MEMORY. Thread-safe.
 */
enum mly_status mly_measurements_parse(const char *name, const char *text, size_t length,
                                       struct mly_measurement_list *out,
                                       struct mly_error *err) MLY_MUST_CHECK;

/* A measurement and what the model says of it. */
struct mly_calibration_row {
    const mly_modelled *modelled; /* made with the device that is fitted; borrowed */
    double measured_ns;
    bool links;
    double before_ns, after_ns; /* out: modelled */
    double weight;              /* out: 1, less for what does not fit the others */
};

/* A constant that is fitted. */
struct mly_calibration_constant {
    size_t index;         /* enum mly_device_constant */
    double before, after; /* out */
    double spread;        /* out: relative standard error; negative: the rows do not tell */
};

/*
 * Which constants can be fitted: those above 0 that times follow from. Fills constants[] (caller's,
 * MLY_DEVICE_CONSTANT_COUNT) and returns their number.
 */
size_t mly_calibration_constants(const struct mly_device_model *device,
                                 struct mly_calibration_constant *constants);

/*
 * Fits the constants of *device (which the rows' mly_modelled borrow) to the rows: the relative errors' sum of
 * squares, large ones counting less (Huber), by damped Gauss-Newton steps on the logarithms; a
 * constant that the rows do not tell stays. *device is changed on success only. MLY_E_INVALID for no
 * rows or no constants; what mly_modelled_segment says; MLY_E_NO_MEMORY. Cost: some hundred
 * evaluations of every row per constant. Source: Huber, "Robust Statistics", 1981; Marquardt, SIAM
 * J. Appl. Math. 11, 1963.
 */
enum mly_status mly_calibrate(struct mly_device_model *device,
                              struct mly_calibration_constant *constants, size_t constant_count,
                              struct mly_calibration_row *rows, size_t row_count,
                              struct mly_error *err) MLY_MUST_CHECK;

#endif
