/*
 * The synthetic networks of Villarrubia et al. 2023, figure 2: five layers of one size, which outgrow an Edge TPU's
 * memory as that size grows. There they are quantised to 8 bits; here they are floating point.
 */
#include "networks.h"

/* 64 → n, three times n → n, n → 10, with tanh. */
void mly__zoo_edge_fc(mly__zoo *zoo, int64_t number)
{
    uint32_t x = mly__zoo_input(zoo, "input", (int64_t[]){64}, 1);
    for (uint32_t i = 0; i < 5; i++) {
        x = mly__zoo_linear(zoo, AT("fc%u", i + 1), x, i < 4 ? number : 10, 1);
        x = mly__zoo_tanh(zoo, "", x);
    }
    mly__zoo_output(zoo, x, "output");
}

/* 64x64x3, five 3x3 convolutions of f filters, 'same', with ReLU. */
void mly__zoo_edge_conv(mly__zoo *zoo, int64_t number)
{
    uint32_t x = mly__zoo_image(zoo, "input", 3, 64, 64);
    for (uint32_t i = 0; i < 5; i++) {
        x = mly__zoo_conv(zoo, AT("conv%u", i + 1), x,
                          (struct mly__conv){.out = (uint32_t)number, .k = 3, .p = 1});
        x = mly__zoo_relu(zoo, "", x);
    }
    mly__zoo_output(zoo, x, "output");
}
