/* Which instruction set to use: detected at run time (asking the operating system too), lowered by PYNEURO_ISA. */
#ifndef PN_BASE_CPU_H
#define PN_BASE_CPU_H
typedef enum pn_isa { PN_ISA_PORTABLE, PN_ISA_AVX2, PN_ISA_AVX512, PN_ISA_NEON, PN_ISA_COUNT } pn_isa;
pn_isa pn_cpu_best(void);            /* best level of this machine, or the one PYNEURO_ISA names if the machine has it */
int pn_cpu_supports(pn_isa isa);     /* PORTABLE always */
const char *pn_isa_name(pn_isa isa); /* "portable", "avx2", "avx512", "neon" */
int pn_isa_parse(const char *name);  /* pn_isa or -1 */
const char *pn_cpu_brand(void);      /* such as "AMD EPYC 9354", "" when unknown */
int pn_cpu_threads(void);            /* min(affinity, cgroup quota), at least 1 */
double pn_clock(void);               /* monotonic seconds */
#endif
