/* Probabilities of acceptance against the formulas in the system's libm, and the numbers of the lecture. */
#include "energy/energy.h"
#include "test.h"

TEST(probabilities_follow_the_formulas) {
    for (int i = -4000; i <= 4000; i++) {
        const double change = i * 0.2017, t = 0.37 + (i & 7);
        const double metropolis = change <= 0 ? 1 : exp(-change / t), glauber = 1 / (1 + exp(change / t));
        CHECK(fabs(pn_rule_probability(PN_RULE_METROPOLIS, change, t) - metropolis) <= 4e-16 * metropolis + 1e-320);
        CHECK(fabs(pn_rule_probability(PN_RULE_GLAUBER, change, t) - glauber) <= 8e-16 * glauber + 1e-305);
        CHECK(pn_rule_probability(PN_RULE_LECTURE, change, t) == (change <= 0 ? 1 : pn_rule_probability(PN_RULE_GLAUBER, change, t)));
    }
}

TEST(numbers_of_the_lecture) {
    const double change[] = {0.1, 0.5, 1, 2, 4}, deck[] = {0.475021, 0.377541, 0.268941, 0.119203, 0.017986},
                 metropolis[] = {0.904837, 0.606531, 0.367879, 0.135335, 0.018316};
    for (int i = 0; i < 5; i++) {
        CHECK_CLOSE(pn_rule_probability(PN_RULE_LECTURE, change[i], 1), deck[i], 6e-7);
        CHECK_CLOSE(pn_rule_probability(PN_RULE_METROPOLIS, change[i], 1), metropolis[i], 6e-7);
    }
}

TEST(extremes) {
    for (int rule = PN_RULE_METROPOLIS; rule <= PN_RULE_LECTURE; rule++) {
        CHECK(pn_rule_probability((pn_rule)rule, 1e300, 1e-300) == 0);
        CHECK(pn_rule_probability((pn_rule)rule, -1e300, 1e-300) == 1);
        CHECK(pn_rule_probability((pn_rule)rule, 0, 1e-300) == (rule == PN_RULE_GLAUBER ? 0.5 : 1));
        CHECK(pn_rule_probability((pn_rule)rule, 744, 1) > 0 || rule == PN_RULE_METROPOLIS);
    }
}
