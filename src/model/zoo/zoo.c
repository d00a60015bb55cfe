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
    {{"matmul-N", "one bias-less linear layer N x N", 0, 0, "Damle and Jayakumar 2024, table 1",
      true, "whole numbers N from 1 to 16384, as in matmul-256", NULL},
     mly__zoo_matmul_n,
     0,
     1,
     16384,
     1},
    {{"fc-L", "five dense layers on an input of 2^L x 2^L", 0, 0,
      "Damle and Jayakumar 2024, figure 3", true, "L from 1 to 7 in steps of 0.5, as in fc-2.5",
      NULL},
     mly__zoo_fc_l,
     0,
     2,
     14,
     2},
    {{"cnn1", "three convolution blocks and a dense block, 224x224", 0, 3.0970e9,
      "Damle and Jayakumar 2024, figure 2; MACs by block from their code", false, NULL, NULL},
     mly__zoo_cnn,
     1,
     0,
     0,
     0},
    {{"cnn2", "two convolution blocks and two dense blocks, 128x128", 264138, 645.8e6,
      "Damle and Jayakumar 2024, figure 2; numbers from their code", false, NULL, NULL},
     mly__zoo_cnn,
     2,
     0,
     0,
     0},
    {{"alexnet-227", "AlexNet of 64-192-384-384-256 channels, 227x227", 61.8e6, 839e6,
      "Damle and Jayakumar 2024, figure 6", false, NULL, NULL},
     mly__zoo_alexnet_227,
     0,
     0,
     0,
     0},
    {{"edge-fc-N", "64-N-N-N-N-10 dense layers with tanh", 0, 0,
      "Villarrubia et al. 2023, figure 2 (there N = 100 to 2620)", true,
      "whole numbers N from 1 to 8192, as in edge-fc-620", NULL},
     mly__zoo_edge_fc,
     0,
     1,
     8192,
     1},
    {{"edge-conv-F", "five 3x3 convolutions of F filters, 64x64", 0, 0,
      "Villarrubia et al. 2023, figure 2 (there F = 32 to 702)", true,
      "whole numbers F from 1 to 2048, as in edge-conv-382", NULL},
     mly__zoo_edge_conv,
     0,
     1,
     2048,
     1},
    {{"googlenet", "GoogLeNet (Inception v1), 224x224", 6.625e6, 1.498e9, TORCHVISION, false, NULL,
      NULL},
     mly__zoo_googlenet,
     0,
     0,
     0,
     0},
    {{"nfnet-f0", "NFNet-F0, 256x256", 71.5e6, 12.38e9,
      "Brock et al., ICML 2021 (at its test size)", false, NULL, NULL},
     mly__zoo_nfnet_f0,
     0,
     0,
     0,
     0},
    {{"vit-base-16", "ViT-Base/16 for seven facial expressions, 224x224", 85.80e6, 17.56e9,
      "torchvision documentation of vit_b_16: 86.568 M parameters less the 993 classes that are "
      "not here; 17.56 GMACs",
      false, NULL, NULL},
     mly__zoo_vit_base_16,
     0,
     0,
     0,
     0},
    {{"resnet18", "ResNet-18, 224x224", 11.690e6, 1.814e9, TORCHVISION, false, NULL, NULL},
     mly__zoo_resnet,
     18,
     0,
     0,
     0},
    {{"resnet50", "ResNet-50, 224x224", 25.557e6, 4.089e9, TORCHVISION, false, NULL, NULL},
     mly__zoo_resnet,
     50,
     0,
     0,
     0},
    {{"resnet101", "ResNet-101, 224x224", 44.549e6, 7.801e9, TORCHVISION, false, NULL, NULL},
     mly__zoo_resnet,
     101,
     0,
     0,
     0},
    {{"resnet152", "ResNet-152, 224x224", 60.193e6, 11.514e9, TORCHVISION, false, NULL, NULL},
     mly__zoo_resnet,
     152,
     0,
     0,
     0},
    {{"resnet50-299", "ResNet-50, 299x299", 25.557e6, 0,
      "torchvision model documentation (parameters), at the size of coral.ai's benchmarks", false,
      NULL, NULL},
     mly__zoo_resnet,
     50299,
     0,
     0,
     0},
    {{"resnet152-299", "ResNet-152, 299x299", 60.193e6, 0,
      "torchvision model documentation (parameters), at the size of coral.ai's benchmarks", false,
      NULL, NULL},
     mly__zoo_resnet,
     152299,
     0,
     0,
     0},
    {{"xception", "Xception, 299x299", 22.856e6, 8.40e9,
      "Chollet, CVPR 2017, table 3 (parameters); timm (MACs)", false, NULL,
      "timm rounds to 8.4 billion"},
     mly__zoo_xception,
     0,
     0,
     0,
     0},
    {{"mobilenet-v1", "MobileNet-v1 1.0, 224x224", 4.2e6, 569e6, "Howard et al. 2017, table 8",
      false, NULL, "the paper rounds to 4.2 million"},
     mly__zoo_mobilenet_v1,
     0,
     0,
     0,
     0},
    {{"mobilenet-v2", "MobileNet-v2 1.0, 224x224", 3.505e6, 0.301e9, TORCHVISION, false, NULL,
      NULL},
     mly__zoo_mobilenet_v2,
     0,
     0,
     0,
     0},
    {{"inception-v4", "Inception-v4, 299x299", 42.648e6, 12.292e9,
      "Open Model Zoo, googlenet-v4: 42.648 M parameters, 24.584 GFLOPs", false, NULL, NULL},
     mly__zoo_inception_v4,
     0,
     0,
     0,
     0},
    {{"alexnet", "AlexNet, 224x224", 61.101e6, 0.714e9, TORCHVISION, false, NULL, NULL},
     mly__zoo_alexnet,
     0,
     0,
     0,
     0},
    {{"vgg11", "VGG-11, 224x224", 132.863e6, 7.609e9, TORCHVISION, false, NULL, NULL},
     mly__zoo_vgg,
     11,
     0,
     0,
     0},
    {{"vgg16", "VGG-16, 224x224", 138.358e6, 15.470e9, TORCHVISION, false, NULL, NULL},
     mly__zoo_vgg,
     16,
     0,
     0,
     0},
    {{"vgg19", "VGG-19, 224x224", 143.667e6, 19.632e9, TORCHVISION, false, NULL, NULL},
     mly__zoo_vgg,
     19,
     0,
     0,
     0},
    {{"cifarnet", "CifarNet of TensorFlow-Slim, 32x32", 0, 0,
      "TensorFlow-Slim, cifarnet (no numbers are published)", false, NULL, NULL},
     mly__zoo_cifarnet,
     0,
     0,
     0,
     0},
    {{"squeezenet", "SqueezeNet 1.0, 224x224", 1.248e6, 0.819e9, TORCHVISION, false, NULL, NULL},
     mly__zoo_squeezenet,
     10,
     0,
     0,
     0},
    {{"squeezenet-1.1", "SqueezeNet 1.1, 224x224", 1.235e6, 0.349e9, TORCHVISION, false, NULL,
      NULL},
     mly__zoo_squeezenet,
     11,
     0,
     0,
     0},
    {{"ssd-mobilenet-v1", "SSD on MobileNet-v1, 300x300, 91 classes", 6.807e6, 1.247e9,
      "Open Model Zoo, ssd_mobilenet_v1_coco: 6.807 M parameters, 2.494 GFLOPs", false, NULL,
      "the published operations include activations and biases"},
     mly__zoo_ssd_mobilenet_v1,
     0,
     0,
     0,
     0},
    {{"yolov3", "YOLOv3, 416x416, 80 classes", 61.95e6, 32.93e9,
      "darknet, yolov3.cfg: 65.86 billion operations; PyTorch ports: 61.95 M parameters", false,
      NULL, NULL},
     mly__zoo_yolov3,
     0,
     0,
     0,
     0},
    {{"tiny-yolo", "Tiny YOLO (v2), 416x416, 20 classes", 15.8587e6, 3.49745e9,
      "Open Model Zoo, yolo-v2-tiny (VOC): 15.8587 M parameters, 6.9949 GFLOPs", false, NULL, NULL},
     mly__zoo_tiny_yolo,
     0,
     0,
     0,
     0},
    {{"c3d", "C3D on clips of 12 frames, 112x112, 101 classes", 78.41e6, 0,
      "Tran et al., ICCV 2015; parameters from PyTorch ports (101 classes); MACs are published for "
      "16 frames only",
      false, NULL, NULL},
     mly__zoo_c3d,
     0,
     0,
     0,
     0},
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
