/*
 * Networks and tables of J. Villarrubia, L. Costero, F. D. Igual, K. Olcoz, "Improving inference time in
 * multi-TPU systems with profiled model segmentation", PDP 2023. Their tables are those of the first
 * author's public repository Jorgitou98/EdgeTPU-QuantRL-Evaluation, commit ecd386c (MIT).
 */
#include <inttypes.h>
#include <stdio.h>

#include "experiment.h"

/* Where something changes: all fits, one layer is streamed, two, three; what the headlines are of. */
static const uint32_t quick_fc[] = {100, 1180, 1620, 2020, 2340, 2620};
static const uint32_t quick_conv[] = {62, 322, 452, 582, 632, 662, 702};

const struct mly__tpu_family mly__tpu_families[MLY__TPU_FAMILIES] = {
    [MLY__TPU_FC] =
        {.name = "fc",
         .title = "fully connected, 64-n-n-n-n-10",
         .network = "edge-fc",
         .sizes = {100, 2620, 40, quick_fc, MLY__COUNT(quick_fc)}, /* figure 2 */
         .vendor = {[1] = {"fc/minN100-maxN2640-stepN40-L4-I64.csv"},
                    [2] = {"fc/minN100-maxN2641-stepN40-L4-num_seg2-batch50.csv"},
                    [3] = {"fc/minN100-maxN2641-stepN40-L4-num_seg3-batch50.csv"},
                    [4] = {"fc/minN100-maxN2641-stepN40-L4-num_seg4-batch50.csv"}},
         .profiled = {[2] = {"fc/minN100-maxN2640-stepN40-L4-num_seg2-batch50-threshold0.5.csv"},
                      [3] = {"fc/minN100-maxN2640-stepN40-L4-num_seg3-batch50-threshold0.5.csv"},
                      [4] = {"fc/minN100-maxN2640-stepN40-L4-num_seg4-batch50-threshold0.5.csv"}}},
    [MLY__TPU_CONV] =
        {.name = "conv",
         .title = "convolutions, five of f filters on 64x64x3",
         .network = "edge-conv",
         .sizes = {32, 702, 10, quick_conv, MLY__COUNT(quick_conv)}, /* figure 2 */
         .vendor = {[1] = {"conv/minF32-maxF702-stepF10.csv"},
                    [2] = {"conv/minF32-maxF692-stepF10-seg2-batch100.csv",
                           "conv/minF272-maxF703-stepF10-seg2-batch100.csv"},
                    [3] = {"conv/minF32-maxF692-stepF10-seg3-batch100.csv",
                           "conv/minF272-maxF703-stepF10-seg3-batch100.csv"},
                    [4] = {"conv/minF32-maxF692-stepF10-seg4-batch100.csv",
                           "conv/minF272-maxF703-stepF10-seg4-batch100.csv"}},
         .profiled = {[2] = {"conv/minF32-maxF593-stepF10-seg2-batch100-profilingTrue.csv",
                             "conv/minF603-maxF683-stepF10-seg2-batch100-profilingTrue.csv"},
                      [3] = {"conv/minF32-maxF593-stepF10-seg3-batch100-profilingTrue.csv",
                             "conv/minF603-maxF683-stepF10-seg3-batch100-profilingTrue.csv"},
                      [4] = {"conv/minF32-maxF593-stepF10-seg4-batch100-profilingTrue.csv",
                             "conv/minF603-maxF683-stepF10-seg4-batch100-profilingTrue.csv"}}},
};

enum mly_status mly__tpu_network(struct mly_bench *bench, const struct mly__tpu_family *family,
                                 uint32_t size, mly_model **out, struct mly_error *err)
{
    char name[64];
    snprintf(name, sizeof name, "%s-%" PRIu32, family->network, size);
    return mly__bench_network(bench, name, out, err);
}

enum mly_status mly__tpu_published(struct mly_bench *bench,
                                   const char *const tables[MLY__TPU_TABLES_MAX],
                                   struct mly_published *out, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    for (size_t i = 0; i < MLY__TPU_TABLES_MAX && status == MLY_OK; i++)
        status = mly__published_load(bench, tables[i], out, err);
    return status;
}
