/* motley devices --modelled NAME MODEL: what a model would take on a device that is not here. */
#include "device/modelled.h"
#include "devices_modelled.h"

#include "cost/modelled.h"

/* The whole model, one batch. */
struct costs {
    const struct mly_device_model *device;
    const char *path;
    uint32_t batch;
    struct mly_modelled_cost cost;
};

static double run_ns(const struct mly_modelled_cost *cost)
{
    return cost->input_ns + cost->execution_ns + cost->output_ns;
}

/* Above idle while it computes, idle power all the time. */
static double energy_j(const struct costs *costs)
{
    return costs->cost.energy_j + costs->device->idle_w * run_ns(&costs->cost) * 1e-9;
}

static char *energy_text(double joules, char buffer[CLI_NUMBER_BYTES])
{
    snprintf(buffer, CLI_NUMBER_BYTES, "%.3g %s", joules < 1 ? joules * 1e3 : joules,
             joules < 1 ? "mJ" : "J");
    return buffer;
}

static int print_json(const struct costs *costs)
{
    const struct mly_modelled_cost *cost = &costs->cost;
    struct mly_json_writer json;
    mly_json_writer_init(&json, true);
    mly_json_begin_object(&json, NULL);
    mly_json_put_string(&json, "device", costs->device->name);
    mly_json_put_bool(&json, "modelled", true);
    mly_json_put_string(&json, "model", costs->path);
    mly_json_put_int(&json, "batch", costs->batch);
    mly_json_put_number(&json, "macs", cost->macs);
    mly_json_put_number(&json, "weight_bytes", cost->weight_bytes);
    mly_json_put_number(&json, "on_chip_bytes", cost->on_chip_bytes);
    mly_json_put_number(&json, "off_chip_bytes", cost->off_chip_bytes);
    mly_json_put_number(&json, "activation_bytes", cost->activation_bytes);
    mly_json_put_number(&json, "input_bytes", cost->input_bytes);
    mly_json_put_number(&json, "output_bytes", cost->output_bytes);
    mly_json_put_number(&json, "run_ns", run_ns(cost));
    mly_json_put_number(&json, "execution_ns", cost->execution_ns);
    mly_json_put_number(&json, "input_ns", cost->input_ns);
    mly_json_put_number(&json, "output_ns", cost->output_ns);
    mly_json_put_number(&json, "first_run_longer_ns", cost->first_ns);
    mly_json_put_number(&json, "energy_j", energy_j(costs));
    mly_json_put_number(&json, "samples_per_s", costs->batch * 1e9 / run_ns(cost));
    mly_json_end_object(&json);
    return cli_print_json(&json);
}

static void print_memory(const struct costs *costs)
{
    const struct mly_modelled_cost *cost = &costs->cost;
    char a[CLI_NUMBER_BYTES], b[CLI_NUMBER_BYTES], c[CLI_NUMBER_BYTES];
    if (costs->device->family == MLY_DEVICE_EDGETPU)
        printf("weights: %s as stored, %s of it on the chip, %s streamed at each run\n",
               cli_bytes(cost->weight_bytes, a), cli_bytes(cost->on_chip_bytes, b),
               cli_bytes(cost->off_chip_bytes, c));
    else
        printf("weights: %s\n", cli_bytes(cost->weight_bytes, a));
    printf("activations: %s at most\n", cli_bytes(cost->activation_bytes, a));
}

static int print_text(const struct costs *costs)
{
    const struct mly_modelled_cost *cost = &costs->cost;
    char a[CLI_NUMBER_BYTES], b[CLI_NUMBER_BYTES], c[CLI_NUMBER_BYTES], d[CLI_NUMBER_BYTES];
    printf("%s on %s, batch %u: all of this is modelled, nothing ran\n\n", costs->path,
           costs->device->name, costs->batch);
    printf("arithmetic: %s multiply-accumulates\n", cli_count(cost->macs, a));
    print_memory(costs);
    printf("one run: %s, of it %s computing, %s for inputs, %s for outputs\n",
           cli_time(run_ns(cost), a), cli_time(cost->execution_ns, b), cli_time(cost->input_ns, c),
           cli_time(cost->output_ns, d));
    printf("the first run: %s longer, for its weights\n", cli_time(cost->first_ns, a));
    printf("energy: %s a run, idle power included, %s per sample\n",
           energy_text(energy_j(costs), a), energy_text(energy_j(costs) / costs->batch, b));
    printf("one run after the other: %.4g samples/s\n", costs->batch * 1e9 / run_ns(cost));
    return cli_finish_output();
}

int cli_devices_cost(const struct cli_common *common, const char *name, const char *path,
                     uint32_t batch)
{
    struct mly_error err = {0};
    struct costs costs = {.path = path, .batch = batch};
    mly_model *model = NULL;
    mly_modelled *modelled = NULL;
    enum mly_status status = cli_device_modelled(common, name, &costs.device, &err);
    if (!status)
        status = cli_model_open(path, false, &model, &err);
    if (!status)
        status = mly_modelled_create(costs.device, model, batch, NULL, 0, &modelled, &err);
    if (!status)
        status = mly_modelled_segment(modelled, NULL, 0, &costs.cost, &err);
    int exit_status = status         ? cli_fail(&err)
                      : common->json ? print_json(&costs)
                                     : print_text(&costs);
    mly_modelled_destroy(modelled);
    mly_model_destroy(model);
    return exit_status;
}
