/* The energy kernels of one instruction set: an energy_*.c file sets PN_VECTOR_BYTES and PN_ENERGY_FILL and includes this file. */
#ifndef PN_KERNELS_ENERGY_BODY_H
#define PN_KERNELS_ENERGY_BODY_H
#include "kernels/vector.h"

#include "kernels/lanes.h"

bool PN_ENERGY_FILL(pn_kernels_energy *t) {
    *t = (pn_kernels_energy){.lanes_fill = lanes_fill};
    return true;
}
#endif
