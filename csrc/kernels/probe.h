/* The FMA peak of one core: multiply-adds on registers alone, the rate that no matrix product can pass. For benchmarks.
 *
 * PN_PROBE_CHAINS independent chains hide the latency of an instruction (4 cycles, two started a cycle: 8 would do). The chains converge to the fixed
 * point b / (1 - a) = 1, so nothing overflows, becomes subnormal or can be removed by the compiler. */
#ifdef PN_REAL_PASS
#define PN_PROBE_CHAINS 12

/* PN_PROBE_CHAINS * V_LANES multiply-adds a round; *flops: how many operations that was in all. Returns a value that depends on every one of them. */
static double R_(pn_probe)(int64_t rounds, double *flops) {
    const V a = V_of(C(0.5)), b = V_of(C(0.5));
    V chain[PN_PROBE_CHAINS];
    _Pragma("GCC unroll 12") for (int i = 0; i < PN_PROBE_CHAINS; i++) chain[i] = V_of((real)i);
    for (int64_t r = 0; r < rounds; r++) { _Pragma("GCC unroll 12") for (int i = 0; i < PN_PROBE_CHAINS; i++) chain[i] = chain[i] * a + b; }
    V all = V_of(C(0));
    _Pragma("GCC unroll 12") for (int i = 0; i < PN_PROBE_CHAINS; i++) all += chain[i];
    real lanes[V_LANES];
    V_store(lanes, all);
    double total = 0;
    for (int i = 0; i < V_LANES; i++) total += lanes[i];
    *flops = 2.0 * PN_PROBE_CHAINS * V_LANES * (double)rounds;
    return total;
}

#undef PN_PROBE_CHAINS
#endif
