/*
 * The shortest use of motley: load a network, let motley decide how to run it here, run it once.
 *
 *   infer MODEL.onnx
 *
 * Every input is filled with zeros; the outputs' names, types and shapes are printed, and what
 * motley decided. The first call measures for a few seconds, later ones use the stored
 * measurements.
 *
 *   cc infer.c $(pkg-config --cflags --libs motley) -o infer
 */
#include <stdio.h>
#include <stdlib.h>

#include <motley/decide.h>
#include <motley/engine.h>

#define MEASURING_BUDGET_NS 5000000000 /* 5 s */

/* A zeroed tensor for a port; a symbolic first dimension is the batch, any other becomes 1. */
static enum mly_status make_input(const struct mly_port *port, uint32_t batch,
                                  struct mly_tensor *out, struct mly_error *err)
{
    struct mly_shape shape = port->shape;

    for (int32_t i = 0; i < shape.rank; i++) {
        if (shape.dims[i] < 0)
            shape.dims[i] = i == 0 ? batch : 1;
    }
    return mly_tensor_init(port->dtype, &shape, out, err);
}

static enum mly_status infer_once(const mly_model *model, mly_engine *engine, uint32_t batch,
                                  struct mly_error *err)
{
    size_t input_count = mly_model_input_count(model);
    size_t output_count = mly_model_output_count(model);
    struct mly_tensor *inputs = calloc(input_count + 1, sizeof *inputs);
    struct mly_tensor *outputs = calloc(output_count + 1, sizeof *outputs);
    enum mly_status status = MLY_OK;

    if (inputs == NULL || outputs == NULL)
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the tensors");
    for (size_t i = 0; status == MLY_OK && i < input_count; i++)
        status = make_input(mly_model_input(model, i), batch, &inputs[i], err);
    if (status == MLY_OK)
        status = mly_engine_infer(engine, inputs, input_count, outputs, output_count, err);
    for (size_t i = 0; status == MLY_OK && i < output_count; i++) {
        char shape[MLY_SHAPE_TEXT_BYTES];

        printf("%s: %s %s\n", mly_model_output(model, i)->name, mly_dtype_name(outputs[i].dtype),
               mly_shape_format(&outputs[i].shape, shape));
    }
    for (size_t i = 0; inputs != NULL && i < input_count; i++)
        mly_tensor_fini(&inputs[i]);
    for (size_t i = 0; outputs != NULL && i < output_count; i++)
        mly_tensor_fini(&outputs[i]);
    free(inputs);
    free(outputs);
    return status;
}

static enum mly_status run(const char *path, struct mly_error *err)
{
    struct mly_decide_options options = {.objective = MLY_OBJECTIVE_LATENCY,
                                         .budget_ns = MEASURING_BUDGET_NS};
    mly_model *model = NULL;
    mly_machine *machine = NULL;
    mly_plan *plan = NULL;
    mly_engine *engine = NULL;
    enum mly_status status;

    status = mly_model_load(path, NULL, &model, err);
    if (status == MLY_OK)
        status = mly_machine_create(NULL, &machine, err);
    if (status == MLY_OK)
        status = mly_decide(model, machine, &options, &plan, err);
    if (status == MLY_OK)
        status = mly_engine_create(model, plan, NULL, &engine, err);
    if (status == MLY_OK) {
        printf("decided: batch %u, predicted %.1f samples/s, %.2f ms\n", mly_plan_batch(plan),
               mly_plan_throughput_per_s(plan), mly_plan_latency_ns(plan) / 1e6);
        status = infer_once(model, engine, mly_plan_batch(plan), err);
    }
    mly_engine_destroy(engine);
    mly_plan_destroy(plan);
    mly_machine_destroy(machine);
    mly_model_destroy(model);
    return status;
}

int main(int argc, char **argv)
{
    struct mly_error err;

    if (argc != 2) {
        fprintf(stderr, "usage: %s MODEL.onnx\n", argv[0]);
        return 2;
    }
    if (run(argv[1], &err) != MLY_OK) {
        fprintf(stderr, "infer: %s\n", err.message);
        return 1;
    }
    return 0;
}
