/* Reads a typed file (base/real.h) three times: for float, for double, and for int64 with
 *   real       int64_t         R_(name)   name_i         PN_WHOLE_PASS  defined: for what integers leave out
 * PN_WIDE is what sums and products run in: double, and uint64_t for integers, where an overflow wraps. */
#define PN_REAL_PASS
#define PN_WHOLE_PASS
#define PN_WIDE uint64_t
#define real int64_t
#define R_(name) name##_i
#include PN_REAL_FILE
#undef PN_REAL_PASS
#undef PN_WHOLE_PASS
#undef PN_WIDE
#undef real
#undef R_
#define PN_WIDE double
#include "base/real.h"
#undef PN_WIDE
