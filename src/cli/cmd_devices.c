/* motley devices: processors, topology, what is absent and why. */
#include <stdlib.h>
#include <string.h>

#include "devices_modelled.h"
#include "internal.h"
#include "sensors.h"

struct devices_values {
    const char *devices;
    const char *topology;
    bool modelled;
    uint64_t batch;
};

static const struct cli_option devices_options[] = {
    {"devices", 'd', CLI_TEXT, "SPEC",
     "Show only these, as other commands would use them: cpu, cpu:0-3, cpu:groups=2, cpu:by=numa, "
     "or modelled ones, p100 or edgetpu-pcie*4.",
     NULL, offsetof(struct devices_values, devices), 0, 0},
    {"topology", 0, CLI_TEXT, "TEXT",
     "A synthetic box in hwloc's notation instead of this one, such as 'package:2 core:16 pu:2'.",
     NULL, offsetof(struct devices_values, topology), 0, 0},
    {"modelled", 0, CLI_FLAG, NULL,
     "Instead of this box, list the processors that device files describe; with NAME that one, "
     "every constant with its source; with NAME and MODEL what that model would take on it: time, "
     "weights on and off the chip, first run, energy.",
     NULL, offsetof(struct devices_values, modelled), 0, 0},
    {"batch", 'b', CLI_COUNT, "N", "With MODEL: samples of a run (default 1).", NULL,
     offsetof(struct devices_values, batch), 1, 65536},
};

static void put_processor(struct mly_json_writer *json, const struct mly_processor *processor)
{
    mly_json_begin_object(json, NULL);
    mly_json_put_string(json, "id", processor->id);
    mly_json_put_string(json, "kind", processor->kind);
    mly_json_put_bool(json, "usable", processor->usable);
    mly_json_put_bool(json, "modelled", processor->modelled);
    mly_json_put_string(json, "reason", processor->usable ? NULL : processor->reason);
    mly_json_put_string(json, "description", processor->description);
    mly_json_begin_array(json, "cpus");
    for (uint32_t i = 0; i < processor->cpu_count; i++)
        mly_json_put_int(json, NULL, processor->cpus[i]);
    mly_json_end_array(json);
    mly_json_put_int(json, "numa_node", processor->numa_node);
    mly_json_put_int(json, "memory_bytes", (int64_t)processor->memory_bytes);
    mly_json_end_object(json);
}

static int print_json(const struct mly_machine_info *info, const struct mly_processor_list *list,
                      mly_sensors *sensors)
{
    struct mly_json_writer json;
    mly_json_writer_init(&json, true);
    mly_json_begin_object(&json, NULL);
    mly_json_begin_object(&json, "machine");
    mly_json_put_string(&json, "cpu_model", info->cpu_model);
    mly_json_put_bool(&json, "synthetic", info->synthetic);
    mly_json_put_int(&json, "packages", info->packages);
    mly_json_put_int(&json, "numa_nodes", info->numa_nodes);
    mly_json_put_int(&json, "last_level_caches", info->last_level_caches);
    mly_json_put_int(&json, "last_level_cache_bytes", (int64_t)info->last_level_cache_bytes);
    mly_json_put_int(&json, "cores", info->cores);
    mly_json_put_int(&json, "cores_total", info->cores_total);
    mly_json_put_int(&json, "hardware_threads", info->hardware_threads);
    mly_json_put_number(&json, "cpu_quota", info->cpu_quota);
    mly_json_put_int(&json, "memory_bytes", (int64_t)info->memory_bytes);
    mly_json_put_string(&json, "cpu_features", info->cpu_features);
    mly_json_put_string(&json, "host_id", info->host_id);
    mly_json_end_object(&json);
    mly_json_begin_array(&json, "processors");
    for (size_t i = 0; i < list->count; i++)
        put_processor(&json, &list->items[i]);
    mly_json_end_array(&json);
    if (sensors)
        cli_sensors_put(sensors, &json);
    mly_json_end_object(&json);
    return cli_print_json(&json);
}

/* What is there but cannot be used is not absent: its reason says so. */
static const char *state_of(const struct mly_processor *processor)
{
    if (processor->modelled)
        return "modelled";
    if (processor->usable)
        return "usable";
    return strncmp(processor->reason, "absent", strlen("absent")) == 0 ? "absent" : "unusable";
}

static const char *remark_of(const struct mly_processor *processor, char *text, size_t size)
{
    const char *reason = processor->reason;
    if (processor->usable)
        return processor->description;
    if (strncmp(reason, "absent: ", strlen("absent: ")) == 0)
        reason += strlen("absent: ");
    snprintf(text, size, "%s%s%s", processor->description, processor->description[0] ? "; " : "",
             reason);
    return text;
}

static void print_text(const struct mly_machine_info *info, const struct mly_processor_list *list,
                       const char *topology)
{
    char memory[CLI_NUMBER_BYTES];
    printf("%s%s: %u of %u cores usable, %u hardware threads, %u NUMA node%s, %s memory\n",
           info->synthetic ? "(synthetic) " : "", info->cpu_model, info->cores, info->cores_total,
           info->hardware_threads, info->numa_nodes, info->numa_nodes == 1 ? "" : "s",
           cli_bytes((double)info->memory_bytes, memory));
    if (info->cpu_quota > 0)
        printf("CPU quota of this container: %.2f cores\n", info->cpu_quota);
    if (info->cpu_features[0])
        printf("features: %s\n", info->cpu_features);
    printf("\n%s\n", topology);
    struct cli_table table;
    cli_table_init(&table, "processor|kind|state|description");
    for (size_t i = 0; i < list->count; i++) {
        const struct mly_processor *processor = &list->items[i];
        char remark[384];
        cli_table_cell(&table, "%s", processor->id);
        cli_table_cell(&table, "%s", processor->kind);
        cli_table_cell(&table, "%s", state_of(processor));
        cli_table_cell(&table, "%s", remark_of(processor, remark, sizeof remark));
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
}

static int run_devices(const struct cli_common *common, const void *values, char **operands,
                       size_t operand_count)
{
    const struct devices_values *given = values;
    struct mly_error err = {0};
    const bool of_model = given->modelled && operand_count == 2;
    if (given->modelled && !given->devices && !given->topology && (of_model || !given->batch))
        return of_model ? cli_devices_cost(common, operands[0], operands[1],
                                           given->batch ? (uint32_t)given->batch : 1)
                        : cli_devices_modelled(common, operand_count ? operands[0] : NULL);
    if (given->batch && !of_model) {
        (void)mly_error_set(&err, MLY_E_INVALID, "--batch goes with --modelled NAME MODEL only");
        return cli_usage(&err);
    }
    if (given->modelled || operand_count) {
        (void)mly_error_set(&err, MLY_E_INVALID,
                            given->modelled
                                ? "--modelled lists what is not here; -d and --topology "
                                  "do not go with it"
                                : "'%s': a name goes with --modelled only",
                            operand_count ? operands[0] : "");
        return cli_usage(&err);
    }
    mly_machine *machine = NULL;
    struct mly_processor_list list = {0};
    mly_sensors *sensors = NULL;
    char *topology = NULL;
    int exit_status = CLI_EXIT_FAILED;
    enum mly_status status = mly_machine_create(given->topology, &machine, &err);
    if (status == MLY_OK)
        status = given->devices ? mly_machine_select(machine, given->devices, &list, &err)
                                : mly_machine_processors(machine, &list, &err);
    if (status == MLY_OK)
        status = mly_machine_topology_text(machine, &topology, &err);
    if (status == MLY_OK && !given->devices && !given->topology)
        status = mly_sensors_open(machine, &sensors, &err);
    if (status != MLY_OK) {
        exit_status = cli_fail(&err);
    } else if (common->json) {
        exit_status = print_json(mly_machine_info(machine), &list, sensors);
    } else {
        print_text(mly_machine_info(machine), &list, topology);
        if (sensors) {
            puts("\nenergy and temperature");
            cli_sensors_print(sensors);
        }
        exit_status = cli_finish_output();
    }
    free(topology);
    mly_sensors_close(sensors);
    mly_processor_list_fini(&list);
    mly_machine_destroy(machine);
    return exit_status;
}

const struct cli_command cli_command_devices = {
    .name = "devices",
    .operands = "[NAME [MODEL]]",
    .summary = "what this box has, what is absent and why",
    .description =
        "Prints the box as motley sees it: packages, NUMA nodes, caches and the cores "
        "that this process may use "
        "(a container's limits count), the processors that a plan can use, the sensors of "
        "energy and temperature, and for each that is absent the reason.",
    .examples = "  motley devices\n  motley devices -d cpu:groups=2\n  motley devices --topology "
                "'package:2 core:16 pu:2' -d cpu:by=package\n  motley devices --modelled\n  motley "
                "devices --modelled edgetpu-pcie\n  motley devices --modelled edgetpu-pcie "
                "googlenet.onnx\n",
    .options = devices_options,
    .option_count = sizeof devices_options / sizeof devices_options[0],
    .values_bytes = sizeof(struct devices_values),
    .max_operands = 2,
    .run = run_devices,
};
