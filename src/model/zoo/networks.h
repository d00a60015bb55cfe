/* The networks: each function describes one to the builder. The registry is zoo.c. */
#ifndef MLY_MODEL_ZOO_NETWORKS_H
#define MLY_MODEL_ZOO_NETWORKS_H

#include "builder.h"

/* A module path from a format, for use where `zoo` is the builder. */
#define AT(...) mly__zoo_path(zoo, __VA_ARGS__)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* number: what a family's name carries, in units of its step (edge-fc-620: 620; fc-2.5: 5); else a
 * variant. */
typedef void mly__zoo_network(mly__zoo *zoo, int64_t number);

mly__zoo_network mly__zoo_matmul_n, mly__zoo_fc_l, mly__zoo_cnn, mly__zoo_edge_fc,
    mly__zoo_edge_conv;
mly__zoo_network mly__zoo_alexnet, mly__zoo_alexnet_227, mly__zoo_vgg, mly__zoo_cifarnet,
    mly__zoo_c3d;
mly__zoo_network mly__zoo_googlenet, mly__zoo_inception_v4, mly__zoo_xception;
mly__zoo_network mly__zoo_resnet, mly__zoo_squeezenet, mly__zoo_nfnet_f0;
mly__zoo_network mly__zoo_mobilenet_v1, mly__zoo_mobilenet_v2, mly__zoo_ssd_mobilenet_v1;
mly__zoo_network mly__zoo_yolov3, mly__zoo_tiny_yolo, mly__zoo_vit_base_16;

#endif
