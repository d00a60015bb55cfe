/* The zoo's registry: which networks there are, what is published about them, and how a name finds
 * one. */
#include "model/zoo.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "networks.h"

#define NAME_BYTES 32

#define TORCHVISION "torchvision model documentation (parameters, GFLOPS as multiply-accumulates)"

static const struct network {
    struct mly_zoo_entry entry;
    mly__zoo_network *build;
    int64_t number; /* variant; families: 0 */
    /* Families: numbers from min to max, counted in 1 / per_unit. */
    int64_t min, max, per_unit;
} networks[] = {
    {.entry = {.name = "matmul-N",
               .summary = "one bias-less linear layer N x N",
               .source = "Damle and Jayakumar 2024, table 1",
               .is_family = true,
               .numbers = "whole numbers N from 1 to 16384, as in matmul-256"},
     .build = mly__zoo_matmul_n,
     .min = 1,
     .max = 16384,
     .per_unit = 1},
    {.entry = {.name = "fc-L",
               .summary = "five dense layers on an input of 2^L x 2^L",
               .source = "Damle and Jayakumar 2024, figure 3",
               .is_family = true,
               .numbers = "L from 1 to 7 in steps of 0.5, as in fc-2.5"},
     .build = mly__zoo_fc_l,
     .min = 2,
     .max = 14,
     .per_unit = 2},
    {.entry = {.name = "cnn1",
               .summary = "three convolution blocks and a dense block, 224x224",
               .published_macs = 3.0970e9,
               .source = "Damle and Jayakumar 2024, figure 2; MACs by block from their code"},
     .build = mly__zoo_cnn,
     .number = 1},
    {.entry = {.name = "cnn2",
               .summary = "two convolution blocks and two dense blocks, 128x128",
               .published_parameters = 264138,
               .published_macs = 645.8e6,
               .source = "Damle and Jayakumar 2024, figure 2; numbers from their code"},
     .build = mly__zoo_cnn,
     .number = 2},
    {.entry = {.name = "alexnet-227",
               .summary = "AlexNet of 64-192-384-384-256 channels, 227x227",
               .published_parameters = 61.8e6,
               .published_macs = 839e6,
               .source = "Damle and Jayakumar 2024, figure 6"},
     .build = mly__zoo_alexnet_227},
    {.entry = {.name = "edge-fc-N",
               .summary = "64-N-N-N-N-10 dense layers with tanh",
               .source = "Villarrubia et al. 2023, figure 2 (there N = 100 to 2620)",
               .is_family = true,
               .numbers = "whole numbers N from 1 to 8192, as in edge-fc-620"},
     .build = mly__zoo_edge_fc,
     .min = 1,
     .max = 8192,
     .per_unit = 1},
    {.entry = {.name = "edge-conv-F",
               .summary = "five 3x3 convolutions of F filters, 64x64",
               .source = "Villarrubia et al. 2023, figure 2 (there F = 32 to 702)",
               .is_family = true,
               .numbers = "whole numbers F from 1 to 2048, as in edge-conv-382"},
     .build = mly__zoo_edge_conv,
     .min = 1,
     .max = 2048,
     .per_unit = 1},
    {.entry = {.name = "googlenet",
               .summary = "GoogLeNet (Inception v1), 224x224",
               .published_parameters = 6.625e6,
               .published_macs = 1.498e9,
               .source = TORCHVISION},
     .build = mly__zoo_googlenet},
    {.entry = {.name = "nfnet-f0",
               .summary = "NFNet-F0, 256x256",
               .published_parameters = 71.5e6,
               .published_macs = 12.38e9,
               .source = "Brock et al., ICML 2021 (at its test size)"},
     .build = mly__zoo_nfnet_f0},
    {.entry = {.name = "vit-base-16",
               .summary = "ViT-Base/16 for seven facial expressions, 224x224",
               .published_parameters = 85.80e6,
               .published_macs = 17.56e9,
               .source = "torchvision documentation of vit_b_16: 86.568 M parameters less the 993 "
                         "classes that are "
                         "not here; 17.56 GMACs"},
     .build = mly__zoo_vit_base_16},
    {.entry = {.name = "resnet18",
               .summary = "ResNet-18, 224x224",
               .published_parameters = 11.690e6,
               .published_macs = 1.814e9,
               .source = TORCHVISION},
     .build = mly__zoo_resnet,
     .number = 18},
    {.entry = {.name = "resnet50",
               .summary = "ResNet-50, 224x224",
               .published_parameters = 25.557e6,
               .published_macs = 4.089e9,
               .source = TORCHVISION},
     .build = mly__zoo_resnet,
     .number = 50},
    {.entry = {.name = "resnet101",
               .summary = "ResNet-101, 224x224",
               .published_parameters = 44.549e6,
               .published_macs = 7.801e9,
               .source = TORCHVISION},
     .build = mly__zoo_resnet,
     .number = 101},
    {.entry = {.name = "resnet152",
               .summary = "ResNet-152, 224x224",
               .published_parameters = 60.193e6,
               .published_macs = 11.514e9,
               .source = TORCHVISION},
     .build = mly__zoo_resnet,
     .number = 152},
    {.entry =
         {.name = "resnet50-299",
          .summary = "ResNet-50, 299x299",
          .published_parameters = 25.557e6,
          .source =
              "torchvision model documentation (parameters), at the size of coral.ai's benchmarks"},
     .build = mly__zoo_resnet,
     .number = 50299},
    {.entry =
         {.name = "resnet152-299",
          .summary = "ResNet-152, 299x299",
          .published_parameters = 60.193e6,
          .source =
              "torchvision model documentation (parameters), at the size of coral.ai's benchmarks"},
     .build = mly__zoo_resnet,
     .number = 152299},
    {.entry = {.name = "xception",
               .summary = "Xception, 299x299",
               .published_parameters = 22.856e6,
               .published_macs = 8.40e9,
               .source = "Chollet, CVPR 2017, table 3 (parameters); timm (MACs)",
               .note = "timm rounds to 8.4 billion"},
     .build = mly__zoo_xception},
    {.entry = {.name = "mobilenet-v1",
               .summary = "MobileNet-v1 1.0, 224x224",
               .published_parameters = 4.2e6,
               .published_macs = 569e6,
               .source = "Howard et al. 2017, table 8",
               .note = "the paper rounds to 4.2 million"},
     .build = mly__zoo_mobilenet_v1},
    {.entry = {.name = "mobilenet-v2",
               .summary = "MobileNet-v2 1.0, 224x224",
               .published_parameters = 3.505e6,
               .published_macs = 0.301e9,
               .source = TORCHVISION},
     .build = mly__zoo_mobilenet_v2},
    {.entry = {.name = "inception-v4",
               .summary = "Inception-v4, 299x299",
               .published_parameters = 42.648e6,
               .published_macs = 12.292e9,
               .source = "Open Model Zoo, googlenet-v4: 42.648 M parameters, 24.584 GFLOPs"},
     .build = mly__zoo_inception_v4},
    {.entry = {.name = "alexnet",
               .summary = "AlexNet, 224x224",
               .published_parameters = 61.101e6,
               .published_macs = 0.714e9,
               .source = TORCHVISION},
     .build = mly__zoo_alexnet},
    {.entry = {.name = "vgg11",
               .summary = "VGG-11, 224x224",
               .published_parameters = 132.863e6,
               .published_macs = 7.609e9,
               .source = TORCHVISION},
     .build = mly__zoo_vgg,
     .number = 11},
    {.entry = {.name = "vgg16",
               .summary = "VGG-16, 224x224",
               .published_parameters = 138.358e6,
               .published_macs = 15.470e9,
               .source = TORCHVISION},
     .build = mly__zoo_vgg,
     .number = 16},
    {.entry = {.name = "vgg19",
               .summary = "VGG-19, 224x224",
               .published_parameters = 143.667e6,
               .published_macs = 19.632e9,
               .source = TORCHVISION},
     .build = mly__zoo_vgg,
     .number = 19},
    {.entry = {.name = "cifarnet",
               .summary = "CifarNet of TensorFlow-Slim, 32x32",
               .source = "TensorFlow-Slim, cifarnet (no numbers are published)"},
     .build = mly__zoo_cifarnet},
    {.entry = {.name = "squeezenet",
               .summary = "SqueezeNet 1.0, 224x224",
               .published_parameters = 1.248e6,
               .published_macs = 0.819e9,
               .source = TORCHVISION},
     .build = mly__zoo_squeezenet,
     .number = 10},
    {.entry = {.name = "squeezenet-1.1",
               .summary = "SqueezeNet 1.1, 224x224",
               .published_parameters = 1.235e6,
               .published_macs = 0.349e9,
               .source = TORCHVISION},
     .build = mly__zoo_squeezenet,
     .number = 11},
    {.entry = {.name = "ssd-mobilenet-v1",
               .summary = "SSD on MobileNet-v1, 300x300, 91 classes",
               .published_parameters = 6.807e6,
               .published_macs = 1.247e9,
               .source = "Open Model Zoo, ssd_mobilenet_v1_coco: 6.807 M parameters, 2.494 GFLOPs",
               .note = "the published operations include activations and biases"},
     .build = mly__zoo_ssd_mobilenet_v1},
    {.entry =
         {.name = "yolov3",
          .summary = "YOLOv3, 416x416, 80 classes",
          .published_parameters = 61.95e6,
          .published_macs = 32.93e9,
          .source =
              "darknet, yolov3.cfg: 65.86 billion operations; PyTorch ports: 61.95 M parameters"},
     .build = mly__zoo_yolov3},
    {.entry = {.name = "tiny-yolo",
               .summary = "Tiny YOLO (v2), 416x416, 20 classes",
               .published_parameters = 15.8587e6,
               .published_macs = 3.49745e9,
               .source = "Open Model Zoo, yolo-v2-tiny (VOC): 15.8587 M parameters, 6.9949 GFLOPs"},
     .build = mly__zoo_tiny_yolo},
    {.entry = {.name = "c3d",
               .summary = "C3D on clips of 12 frames, 112x112, 101 classes",
               .published_parameters = 78.41e6,
               .source = "Tran et al., ICCV 2015; parameters from PyTorch ports (101 classes); "
                         "MACs are published for "
                         "16 frames only"},
     .build = mly__zoo_c3d},

};

size_t mly_zoo_count(void)
{
    return COUNT(networks);
}

const struct mly_zoo_entry *mly_zoo_entry(size_t index)
{
    return index < COUNT(networks) ? &networks[index].entry : NULL;
}

/* --- names --- */

/* Length of a family's name without its number's letter: "matmul-" of "matmul-N". */
static size_t prefix_length(const struct network *network)
{
    return strlen(network->entry.name) - 1;
}

/* Near: few letters differ, or one name begins with the other. */
static bool is_near(const char *name, const char *entry)
{
    size_t n = strlen(name), m = strlen(entry), shorter = n < m ? n : m;
    return mly__name_distance(name, entry) <= 1 + m / 4 ||
           (shorter >= 3 && strncmp(name, entry, shorter) == 0);
}

static enum mly_status not_found(const char *name, struct mly_error *err)
{
    char near[512] = "";
    for (size_t i = 0, length = 0; i < COUNT(networks); i++)
        if (is_near(name, networks[i].entry.name) && length + NAME_BYTES + 2 < sizeof(near))
            length += (size_t)snprintf(near + length, sizeof(near) - length, "%s%s",
                                       length ? ", " : "", networks[i].entry.name);
    if (*near)
        return mly_error_set(err, MLY_E_NOT_FOUND, "the zoo has no '%.64s'; near names: %s", name,
                             near);
    return mly_error_set(err, MLY_E_NOT_FOUND,
                         "the zoo has no '%.64s', nor a name near it; 'motley zoo' lists all",
                         name);
}

/* Reads a decimal number in units of 1 / per_unit: "2.5" is 5 halves. At most 6 digits; false if it
 * is none. */
static bool read_number(const char *text, int64_t per_unit, int64_t *number)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 6)
        return false;
    *number = 0;
    for (size_t i = 0; i < digits; i++)
        *number = *number * 10 + (text[i] - '0');
    *number *= per_unit;
    text += digits;
    if (per_unit == 2 && strcmp(text, ".5") == 0)
        ++*number;
    else if (*text && !(per_unit == 2 && strcmp(text, ".0") == 0))
        return false;
    return true;
}

/* Finds a network, the number to build it with and its canonical name ("fc-2" for "fc-2.0"). */
static enum mly_status find(const char *name, const struct network **out, int64_t *number,
                            char full_name[NAME_BYTES], struct mly_error *err)
{
    for (size_t i = 0; i < COUNT(networks); i++) {
        const struct network *network = &networks[i];
        if (!network->entry.is_family) {
            if (strcmp(name, network->entry.name) != 0)
                continue;
            *number = network->number;
            snprintf(full_name, NAME_BYTES, "%s", name);
            *out = network;
            return MLY_OK;
        }
        size_t prefix = prefix_length(network);
        if (strncmp(name, network->entry.name, prefix) != 0)
            continue;
        if (!read_number(name + prefix, network->per_unit, number) || *number < network->min ||
            *number > network->max)
            return mly_error_set(err, MLY_E_INVALID, "zoo: '%.64s': %s takes %s", name,
                                 network->entry.name, network->entry.numbers);
        snprintf(full_name, NAME_BYTES, "%.*s%" PRId64 "%s", (int)prefix, network->entry.name,
                 *number / network->per_unit, *number % network->per_unit ? ".5" : "");
        *out = network;
        return MLY_OK;
    }
    return not_found(name, err);
}

/* --- building --- */

static enum mly_status build(const char *name, char full_name[NAME_BYTES], mly__zoo **out,
                             struct mly_error *err)
{
    const struct network *network = NULL;
    int64_t number = 0;
    enum mly_status status = find(name, &network, &number, full_name, err);
    if (status != MLY_OK)
        return status;
    mly__zoo *zoo;
    status = mly__zoo_create(full_name, &zoo, err);
    if (status != MLY_OK)
        return status;
    network->build(zoo, number);
    status = mly__zoo_status(zoo);
    if (status != MLY_OK)
        mly__zoo_destroy(zoo);
    else
        *out = zoo;
    return status;
}

static enum mly_status write_network(const char *name, const char *path, bool hollow,
                                     struct mly_error *err)
{
    char full_name[NAME_BYTES];
    mly__zoo *zoo;
    enum mly_status status = build(name, full_name, &zoo, err);
    if (status != MLY_OK)
        return status;
    status = mly__zoo_save(zoo, path, hollow, err);
    mly__zoo_destroy(zoo);
    return status;
}

enum mly_status mly_zoo_write(const char *name, const char *path, struct mly_error *err)
{
    return write_network(name, path, false, err);
}

enum mly_status mly_zoo_write_hollow(const char *name, const char *path, struct mly_error *err)
{
    return write_network(name, path, true, err);
}

enum mly_status mly_zoo_measure(const char *name, struct mly_zoo_measures *out,
                                struct mly_error *err)
{
    char full_name[NAME_BYTES];
    mly__zoo *zoo;
    enum mly_status status = build(name, full_name, &zoo, err);
    if (status != MLY_OK)
        return status;
    *out = (struct mly_zoo_measures){mly__zoo_parameters(zoo), mly__zoo_macs(zoo),
                                     (double)mly__zoo_weight_bytes(zoo)};
    mly__zoo_destroy(zoo);
    return MLY_OK;
}
