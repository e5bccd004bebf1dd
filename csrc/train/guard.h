/* Updates that leave the range of their numbers: found in the step that makes them, and taken back.
 *
 * To look at every new weight would cost a few percent of a step. Instead numbers are compared with bounds: from the largest weight and the largest state,
 * measured now and then, follows a gradient up to which the next PN_GUARD_STEPS updates certainly stay finite. Only a step that cannot promise this is
 * done carefully: what it changes is kept before, looked at after, and put back when it is not finite. */
#ifndef PN_TRAIN_GUARD_H
#define PN_TRAIN_GUARD_H
#include "train/optimizer.h"

#define PN_GUARD_STEPS 256 /* updates between two measurements */

/* Once before each update: the largest |gradient| for which it certainly stays finite, below 0 when there is none. Measures when that is due. */
double pn_guard_limit(pn_optimizer *o);
/* After updates, when nobody else has written parameters since the last one: what was measured goes on to hold. Otherwise it is measured again. */
void pn_guard_trust(pn_optimizer *o);
bool pn_guard_is_trusted(const pn_optimizer *o);

/* Parameters and state as they are now, into memory of pn_guard_bytes. */
size_t pn_guard_bytes(const pn_optimizer *o);
void pn_guard_save(const pn_optimizer *o, void *saved);
/* After the update: the first segment with a number that is not finite, everything being put back then; -1 when all is well. */
int pn_guard_judge(const pn_optimizer *o, const void *saved);
#endif
