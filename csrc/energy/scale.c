/* How strong couplings are: what a schedule of temperatures is made from. */
#include <math.h>

#include "energy/energy.h"

pn_scale pn_couplings_scale(const pn_couplings *m) {
    pn_scale scale = {.reach = m->reach};
    for (int64_t i = 0; i < m->n; i++) {
        pn_row row;
        pn_couplings_row(m, i, &row);
        double squares = m->field ? m->field[i] * m->field[i] : 0, least = sqrt(squares);
        for (int64_t k = 0; k < row.n; k++) {
            const double w = fabs(row.weight[k]);
            squares += w * w;
            if (least == 0 || w < least) least = w;
        }
        scale.weakest += least / (double)m->n;
        scale.spread += sqrt(squares) / (double)m->n;
    }
    return scale;
}
