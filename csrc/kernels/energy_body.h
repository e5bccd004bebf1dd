/* The energy kernels of one instruction set: an energy_*.c file sets PN_VECTOR_BYTES and PN_ENERGY_FILL and includes this file. */
#ifndef PN_KERNELS_ENERGY_BODY_H
#define PN_KERNELS_ENERGY_BODY_H
#include "kernels/vector.h"

#include "kernels/lanes.h"
#include "kernels/lattice_bits_impl.h"
#include "kernels/replica_bytes_impl.h"

#define PN_REAL_FILE "kernels/vmath.h"
#include "base/real.h"
#define PN_REAL_FILE "kernels/boltzmann_impl.h"
#include "base/real.h"

#include "kernels/fields_impl.h"

bool PN_ENERGY_FILL(pn_kernels_energy *t) {
    *t = (pn_kernels_energy){.lanes_fill = lanes_fill,
                             .lattice_bits = lattice_bits,
                             .replica_bytes = replica_bytes,
                             .boltzmann_f = boltzmann_table_f,
                             .boltzmann_d = boltzmann_table_d,
                             .fields = {.dense = fields_dense, .sparse = fields_sparse, .replicas = fields_replicas, .random = fields_random}};
    return true;
}
#endif
