/*
 * Fitting a device's constants to measurements.
 *
 *   1. A row's error is the logarithm of modelled over measured time: twice too long and half as long
 *      count the same, short runs as much as long ones.
 *   2. Rows that are further off than most weigh less (Huber's weights, scale from the median error).
 *   3. Constants move on a logarithmic scale, so that none becomes negative. A weak spring holds each
 *      at its value: what the rows say nothing of stays.
 *   4. A step solves the damped normal equations; it is taken if it lessens the weighted errors, with
 *      less damping next time, else tried again with more. Derivatives are differences.
 *   5. Constants that remain uncertain by half go back to where they were, and the others are fitted
 *      again without them. What comes out is rounded to what it is known to.
 */
#include "cost/calibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define STEPS_MAX 60
#define HUBER 1.345     /* 95 % as efficient as least squares where errors are normal */
#define SCALE_MIN 0.005 /* errors under half a per cent are all the same */
#define SPRING 2e-3     /* a constant off by a factor of 2 is as likely as a row off by 5 % */
#define DIFFERENCE 1e-3 /* of a logarithm */
#define FACTOR_MAX 1e3  /* a constant changes at most by this */
#define SPREAD_MAX 0.5  /* of a constant that the rows tell */
#define PARAMETERS MLY_DEVICE_CONSTANT_COUNT

struct fit {
    struct mly_device_model *device;
    struct mly_calibration_constant *constants;
    size_t count;
    struct mly_calibration_row *rows;
    size_t row_count;
    bool held[PARAMETERS]; /* by 5 */
    double x[PARAMETERS];  /* logarithm of each constant over its first value */
    double *errors;        /* [row_count] */
    double *tried;         /* [row_count] */
    double *derivatives;   /* [row_count * count] */
    double *sorted;        /* [row_count] */
    struct mly_error *err;
};

/* Times follow from the others in no smooth way, or not at all. */
static const size_t fixed[] = {
    MLY_DEVICE_MEMORY_BYTES,
    MLY_DEVICE_ON_CHIP_BYTES,
    MLY_DEVICE_IDLE_W,
    MLY_DEVICE_ACTIVE_W,
    MLY_DEVICE_FLOAT_BITS,
    MLY_DEVICE_EDGETPU_LANES,
    MLY_DEVICE_EDGETPU_DEPTH,
    MLY_DEVICE_EDGETPU_LOAD_NS,
    MLY_DEVICE_EDGETPU_CHANNEL_BYTES,
    MLY_DEVICE_EDGETPU_RESERVE_BYTES,
    MLY_DEVICE_EDGETPU_RESERVE_SHARE,
    MLY_DEVICE_EDGETPU_ACTIVATION_BYTES,
    MLY_DEVICE_EDGETPU_TILES,
};

static bool is_fixed(const struct mly_device_model *device, size_t index)
{
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (fixed[i] == index)
            return true;
    /* Peaks are facts where something else says what is reached of them. */
    return index <= MLY_DEVICE_I8_MACS_PER_S &&
           (device->family == MLY_DEVICE_EDGETPU || device->efficiency > 0);
}

size_t mly_calibration_constants(const struct mly_device_model *device,
                                 struct mly_calibration_constant *constants)
{
    size_t count = 0;
    for (size_t i = 0; i < MLY_DEVICE_CONSTANT_COUNT; i++) {
        double value = mly_device_constant_get(device, i);
        if (!is_fixed(device, i) && device->origins[i].given && value > 0)
            constants[count++] =
                (struct mly_calibration_constant){.index = i, .before = value, .after = value};
    }
    return count;
}

/* --- 1 --- */

static double bounded(const struct fit *fit, size_t parameter, double x)
{
    const struct mly_device_constant_info *info =
        mly_device_constant_at(fit->constants[parameter].index);
    double before = fit->constants[parameter].before;
    double low = fmax(-log(FACTOR_MAX), log(fmax(info->min, 1e-300) / before));
    double high = fmin(log(FACTOR_MAX), log(info->max / before));
    return fmin(fmax(x, low), high);
}

static void set_constants(const struct fit *fit, const double *x)
{
    for (size_t k = 0; k < fit->count; k++)
        mly_device_constant_set(fit->device, fit->constants[k].index,
                                fit->constants[k].before * exp(x[k]));
}

static enum mly_status row_ns(const struct fit *fit, const struct mly_calibration_row *row,
                              double *out)
{
    struct mly_modelled_cost cost;
    enum mly_status status = mly_modelled_segment(row->modelled, NULL, 0, &cost, fit->err);
    if (!status)
        *out = fmax(cost.execution_ns + (row->links ? cost.input_ns + cost.output_ns : 0), 1);
    return status;
}

static enum mly_status evaluate(const struct fit *fit, const double *x, double *errors)
{
    enum mly_status status = MLY_OK;
    set_constants(fit, x);
    for (size_t i = 0; !status && i < fit->row_count; i++) {
        double ns = 0;
        status = row_ns(fit, &fit->rows[i], &ns);
        if (!status)
            errors[i] = log(ns / fit->rows[i].measured_ns);
    }
    return status;
}

/* --- 2 --- */

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void weigh(struct fit *fit)
{
    for (size_t i = 0; i < fit->row_count; i++)
        fit->sorted[i] = fabs(fit->errors[i]);
    qsort(fit->sorted, fit->row_count, sizeof *fit->sorted, by_value);
    /* 1.4826 times the median deviation is the standard deviation of normal errors */
    double scale = fmax(1.4826 * fit->sorted[fit->row_count / 2], SCALE_MIN);
    for (size_t i = 0; i < fit->row_count; i++) {
        double off = fabs(fit->errors[i]) / scale;
        fit->rows[i].weight = off <= HUBER ? 1 : HUBER / off;
    }
}

static double weighted(const struct fit *fit, const double *errors, const double *x)
{
    double sum = 0;
    for (size_t i = 0; i < fit->row_count; i++)
        sum += fit->rows[i].weight * errors[i] * errors[i];
    for (size_t k = 0; k < fit->count; k++)
        sum += SPRING * x[k] * x[k];
    return sum;
}

/* --- 4 --- */

static enum mly_status differentiate(struct fit *fit)
{
    for (size_t k = 0; k < fit->count; k++) {
        double x[PARAMETERS];
        memcpy(x, fit->x, sizeof x);
        x[k] += DIFFERENCE;
        enum mly_status status = evaluate(fit, x, fit->tried);
        if (status)
            return status;
        for (size_t i = 0; i < fit->row_count; i++)
            fit->derivatives[i * fit->count + k] =
                fit->held[k] ? 0 : (fit->tried[i] - fit->errors[i]) / DIFFERENCE;
    }
    return MLY_OK;
}

/* The normal equations: matrix[count][count + 1], the right side last. */
static void normal_equations(const struct fit *fit, double damping,
                             double matrix[PARAMETERS][PARAMETERS + 1])
{
    for (size_t j = 0; j < fit->count; j++) {
        for (size_t k = 0; k <= fit->count; k++) {
            double sum = 0;
            for (size_t i = 0; i < fit->row_count; i++) {
                const double *row = &fit->derivatives[i * fit->count];
                sum += fit->rows[i].weight * row[j] * (k < fit->count ? row[k] : -fit->errors[i]);
            }
            matrix[j][k] = sum;
        }
        matrix[j][fit->count] -= SPRING * fit->x[j];
        matrix[j][j] = (matrix[j][j] + SPRING) * (1 + damping);
    }
}

/* Gauss' elimination; symmetric and positive, so it needs no pivots. Returns the solution in step. */
static void solve(size_t count, double matrix[PARAMETERS][PARAMETERS + 1], double *step)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++) {
            double factor = matrix[j][i] / matrix[i][i];
            for (size_t k = i; k <= count; k++)
                matrix[j][k] -= factor * matrix[i][k];
        }
    for (size_t i = count; i-- > 0;) {
        double sum = matrix[i][count];
        for (size_t k = i + 1; k < count; k++)
            sum -= matrix[i][k] * step[k];
        step[i] = sum / matrix[i][i];
    }
}

/* One step that lessens the errors, if there is one; *done when it gains next to nothing. */
static enum mly_status improve(struct fit *fit, double *damping, bool *done)
{
    double matrix[PARAMETERS][PARAMETERS + 1], step[PARAMETERS], x[PARAMETERS] = {0};
    enum mly_status status = evaluate(fit, fit->x, fit->errors);
    if (status)
        return status;
    weigh(fit);
    double before = weighted(fit, fit->errors, fit->x);
    if ((status = differentiate(fit)))
        return status;
    for (int attempt = 0; attempt < 12; attempt++) {
        normal_equations(fit, *damping, matrix);
        solve(fit->count, matrix, step);
        for (size_t k = 0; k < fit->count; k++)
            x[k] = bounded(fit, k, fit->x[k] + fmin(fmax(step[k], -1), 1));
        if ((status = evaluate(fit, x, fit->tried)))
            return status;
        double after = weighted(fit, fit->tried, x);
        if (after < before) {
            memcpy(fit->x, x, sizeof x);
            *damping = fmax(*damping / 5, 1e-9);
            *done = before - after < 1e-9 * (1 + before);
            return MLY_OK;
        }
        *damping = fmin(*damping * 5 + 1e-6, 1e9);
    }
    *done = true;
    return MLY_OK;
}

/* 5. Standard errors: the weighted error per degree of freedom over the curvature. */
static void find_spreads(struct fit *fit)
{
    double matrix[PARAMETERS][PARAMETERS + 1], column[PARAMETERS];
    double freedom = fit->row_count > fit->count ? (double)(fit->row_count - fit->count) : 1;
    double variance = SCALE_MIN * SCALE_MIN;
    for (size_t i = 0; i < fit->row_count; i++)
        variance += fit->rows[i].weight * fit->errors[i] * fit->errors[i] / freedom;
    for (size_t k = 0; k < fit->count; k++) {
        normal_equations(fit, 0, matrix);
        for (size_t j = 0; j < fit->count; j++) {
            matrix[j][j] -= SPRING * 0.999; /* rows alone, but for what nothing tells */
            matrix[j][fit->count] = j == k;
        }
        solve(fit->count, matrix, column);
        fit->constants[k].spread = fit->held[k] ? -1 : sqrt(fmax(column[k] * variance, 0));
    }
}

/* 5. The most uncertain constant goes back; false if all are known well enough. */
static bool give_up_one(struct fit *fit)
{
    size_t worst = fit->count;
    double spread = SPREAD_MAX;
    for (size_t k = 0; k < fit->count; k++)
        if (fit->constants[k].spread > spread) {
            worst = k;
            spread = fit->constants[k].spread;
        }
    if (worst == fit->count)
        return false;
    fit->held[worst] = true;
    memset(fit->x, 0, sizeof fit->x);
    return true;
}

static enum mly_status descend(struct fit *fit)
{
    double damping = 1e-3;
    bool done = false;
    enum mly_status status = MLY_OK;
    for (int step = 0; !status && !done && step < STEPS_MAX; step++)
        status = improve(fit, &damping, &done);
    if (!status)
        status = evaluate(fit, fit->x, fit->errors);
    if (!status)
        status = differentiate(fit);
    if (status)
        return status;
    weigh(fit);
    find_spreads(fit);
    return MLY_OK;
}

/* Four digits: no measurement tells more. */
static double rounded(double value)
{
    double unit = pow(10, floor(log10(value)) - 3);
    return round(value / unit) * unit;
}

static enum mly_status run_fit(struct fit *fit)
{
    enum mly_status status = evaluate(fit, fit->x, fit->errors);
    for (size_t i = 0; !status && i < fit->row_count; i++)
        fit->rows[i].before_ns = exp(fit->errors[i]) * fit->rows[i].measured_ns;
    do {
        if (!status)
            status = descend(fit);
    } while (!status && give_up_one(fit));
    if (status)
        return status;
    for (size_t k = 0; k < fit->count; k++)
        if (!fit->held[k])
            fit->x[k] =
                log(rounded(fit->constants[k].before * exp(fit->x[k])) / fit->constants[k].before);
    status = evaluate(fit, fit->x, fit->errors);
    for (size_t i = 0; !status && i < fit->row_count; i++)
        fit->rows[i].after_ns = exp(fit->errors[i]) * fit->rows[i].measured_ns;
    for (size_t k = 0; !status && k < fit->count; k++) {
        struct mly_calibration_constant *constant = &fit->constants[k];
        constant->after =
            fit->held[k] ? constant->before : rounded(constant->before * exp(fit->x[k]));
        mly_device_constant_set(fit->device, constant->index, constant->after);
    }
    return status;
}

enum mly_status mly_calibrate(struct mly_device_model *device,
                              struct mly_calibration_constant *constants, size_t constant_count,
                              struct mly_calibration_row *rows, size_t row_count,
                              struct mly_error *err)
{
    struct fit fit = {.device = device,
                      .constants = constants,
                      .count = constant_count,
                      .rows = rows,
                      .row_count = row_count,
                      .err = err};
    if (row_count == 0 || constant_count == 0 || constant_count > PARAMETERS)
        return mly_error_set(err, MLY_E_INVALID, "%zu constants cannot be fitted to %zu rows",
                             constant_count, row_count);
    double *memory = mly_alloc_array(row_count * (constant_count + 3), sizeof *memory);
    if (!memory)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory to fit %zu rows", row_count);
    fit.errors = memory;
    fit.tried = memory + row_count;
    fit.sorted = memory + 2 * row_count;
    fit.derivatives = memory + 3 * row_count;
    enum mly_status status = run_fit(&fit);
    if (status)
        set_constants(&fit, (const double[PARAMETERS]){0});
    mly_free(memory);
    return status;
}
