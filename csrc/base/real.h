/* One source for float and double. A file with typed code names itself in PN_REAL_FILE and includes this header; it is then read again twice, with
 *   real       float | double          R_(name)   name_f | name_d        PN_DOUBLE  0 | 1
 * The typed part stands under `#ifdef PN_REAL_PASS`, everything else under `#else`. See ops/activations.c for the shape of such a file. */
#define PN_REAL_PASS
#define PN_CAT2(a, b) a##b
#define PN_CAT(a, b) PN_CAT2(a, b)
#define real float
#define PN_DOUBLE 0
#define R_(name) PN_CAT(name, _f)
#include PN_REAL_FILE
#undef real
#undef PN_DOUBLE
#undef R_
#define real double
#define PN_DOUBLE 1
#define R_(name) PN_CAT(name, _d)
#include PN_REAL_FILE
#undef real
#undef PN_DOUBLE
#undef R_
#undef PN_CAT
#undef PN_CAT2
#undef PN_REAL_PASS
#undef PN_REAL_FILE
