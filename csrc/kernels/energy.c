/* What the kernels of the energy models have in common on all machines. */
#include "kernels/energy.h"

#include "base/rng.h"

void pn_lanes_seed(pn_lanes *g, uint64_t seed) {
    for (int lane = 0; lane < 8; lane++) {
        pn_xoshiro one;
        pn_xoshiro_seed(&one, pn_hash64(seed, (uint64_t)lane));
        for (int i = 0; i < 4; i++) g->s[i][lane] = one.s[i];
    }
}
