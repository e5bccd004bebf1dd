/* Instruction-set levels: what the processor offers and the operating system saves on a context switch. */
#include "base/cpu.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/system.h"

static const char *const names[PN_ISA_COUNT] = {"portable", "avx2", "avx512", "neon"};

#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64) || defined(_M_IX86)
#include <cpuid.h>

/* The register states the operating system saves (XCR0). */
static uint64_t saved_states(void) {
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

int pn_cpu_supports(pn_isa isa) {
    unsigned a, b, c, d, b7, c7, d7;
    if (isa == PN_ISA_PORTABLE) return 1;
    if (isa != PN_ISA_AVX2 && isa != PN_ISA_AVX512) return 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 27) || !(c & 1u << 28) || !(c & 1u << 12)) return 0; /* OSXSAVE, AVX, FMA */
    if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d7)) return 0;
    uint64_t states = saved_states();
    if ((states & 0x06) != 0x06 || !(b7 & 1u << 5)) return 0; /* XMM and YMM are saved; AVX2 */
    if (isa == PN_ISA_AVX2) return 1;
    const unsigned wanted = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    return (states & 0xE6) == 0xE6 && (b7 & wanted) == wanted;         /* masks and ZMM are saved */
}

const char *pn_cpu_brand(void) {
    static char text[49];
    unsigned r[12];
    if (text[0]) return text;
    for (unsigned i = 0; i < 3; i++) {
        if (!__get_cpuid(0x80000002u + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3])) return "";
    }
    char raw[49] = {0};
    memcpy(raw, r, 48);
    const char *start = raw;
    while (*start == ' ') start++;
    size_t n = strlen(start);
    while (n > 0 && start[n - 1] == ' ') n--;
    memcpy(text, start, n); /* the same bytes whoever writes them */
    return text;
}
#else
int pn_cpu_supports(pn_isa isa) {
#if defined(__aarch64__) || defined(_M_ARM64)
    if (isa == PN_ISA_NEON) return 1; /* part of the base architecture */
#endif
    return isa == PN_ISA_PORTABLE;
}

const char *pn_cpu_brand(void) { return ""; }
#endif

const char *pn_isa_name(pn_isa isa) { return (unsigned)isa < PN_ISA_COUNT ? names[isa] : "unknown"; }

int pn_isa_parse(const char *name) {
    for (int i = 0; name && i < PN_ISA_COUNT; i++) {
        if (strcmp(name, names[i]) == 0) return i;
    }
    return -1;
}

pn_isa pn_cpu_best(void) {
    int wish = pn_isa_parse(getenv("PYNEURO_ISA"));
    if (wish >= 0 && pn_cpu_supports((pn_isa)wish)) return (pn_isa)wish;
    for (int i = PN_ISA_COUNT - 1; i > PN_ISA_PORTABLE; i--) {
        if (pn_cpu_supports((pn_isa)i)) return (pn_isa)i;
    }
    return PN_ISA_PORTABLE;
}

int pn_cpu_threads(void) { return pn_system_cpus(); }
