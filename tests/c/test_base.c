/* Messages, shapes, allocation, random numbers and polling. */
#include "test.h"

#include <stdlib.h>

#include "base/poll.h"
#include "base/rng.h"
#include "base/shape.h"
#include "base/status.h"

TEST(messages_are_cut_at_whole_characters) {
    pn_error e;
    char many[2000];
    CHECK(pn_fail(&e, PN_E_VALUE, "x has shape %s", "(2, 3)") == PN_E_VALUE);
    CHECK(e.status == PN_E_VALUE && !strcmp(e.text, "x has shape (2, 3)"));
    pn_error_prefix(&e, "Linear(2, 3) (layer 0): ");
    CHECK(!strcmp(e.text, "Linear(2, 3) (layer 0): x has shape (2, 3)"));
    for (int offset = 0; offset < 4; offset++) { /* three-byte characters meet the end of the buffer in every phase */
        memset(many, 'a', sizeof many);
        for (int i = offset; i + 3 < (int)sizeof many; i += 3) memcpy(many + i, "\xE2\x82\xAC", 3);
        many[sizeof many - 1] = '\0';
        pn_fail(&e, PN_E_TYPE, "%s", many);
        CHECK(strlen(e.text) >= 1020 && (strlen(e.text) - (size_t)offset) % 3 == 0, "length %zu", strlen(e.text));
        pn_error_prefix(&e, "some layer: ");
        CHECK(strlen(e.text) < sizeof e.text && !strncmp(e.text, "some layer: ", 12));
        CHECK((strlen(e.text) - 12 - (size_t)offset) % 3 == 0);
    }
    pn_error_prefix(&e, many);
    CHECK(strlen(e.text) < sizeof e.text);
    static const char *const characters[] = {"\xC3\xA9", "\xF0\x9F\x98\x80", "\x80"}; /* of two and four bytes, and what is no character at all */
    for (int k = 0; k < 3; k++) {
        const size_t size = strlen(characters[k]);
        for (size_t offset = 0; offset < 4; offset++) {
            memset(many, 'a', sizeof many);
            for (size_t i = offset; i + size < sizeof many; i += size) memcpy(many + i, characters[k], size);
            many[sizeof many - 1] = '\0';
            pn_fail(&e, PN_E_TYPE, "%s", many);
            CHECK(strlen(e.text) >= 1020 && (strlen(e.text) - offset) % size == 0, "length %zu", strlen(e.text));
        }
    }
    pn_error_prefix(&e, NULL);
    pn_error_prefix(NULL, "nobody listens: ");
    CHECK(!strncmp(e.text, "aaa\x80", 4));
    CHECK(pn_fail(NULL, PN_E_MEMORY, "nobody listens") == PN_E_MEMORY);
}

TEST(shapes_are_written_as_python_writes_them) {
    char text[256];
    pn_shape scalar = {0}, one = {.rank = 1, .dim = {784}}, two = {.rank = 2, .dim = {32, 784}}, big = {.rank = 8};
    CHECK(!strcmp(pn_shape_text(&scalar, text), "()"));
    CHECK(!strcmp(pn_shape_text(&one, text), "(784,)"));
    CHECK(!strcmp(pn_shape_text(&two, text), "(32, 784)"));
    for (int i = 0; i < 8; i++) big.dim[i] = INT64_MIN;
    CHECK(strlen(pn_shape_text(&big, text)) < 256);
}

TEST(shape_bytes_refuses_overflow) {
    size_t bytes = 7;
    pn_shape ok = {.rank = 2, .dtype = PN_F64, .dim = {3, 5}}, empty = {.rank = 2, .dim = {0, 5}}, negative = {.rank = 1, .dim = {-1}};
    pn_shape huge = {.rank = 3, .dim = {INT64_C(1) << 31, INT64_C(1) << 31, 4}}, hidden = {.rank = 3, .dim = {0, INT64_MAX, INT64_MAX}};
    pn_shape half = {.rank = 2, .dtype = PN_F32, .dim = {INT64_C(1) << 31, INT64_C(1) << 30}}; /* fits a size_t, but no pointer difference */
    CHECK(pn_shape_bytes(&ok, &bytes) && bytes == 120);
    CHECK(pn_shape_bytes(&empty, &bytes) && bytes == 0);
    CHECK(!pn_shape_bytes(&half, &bytes) && !pn_shape_bytes(&negative, &bytes) && !pn_shape_bytes(&huge, &bytes) && !pn_shape_bytes(&hidden, &bytes));
    CHECK(pn_shape_equal(&ok, &ok) && !pn_shape_equal(&ok, &empty) && !pn_shape_equal(&ok, &negative));
}

TEST(blocks_are_aligned_counted_and_writable) {
    void *block[300];
    int64_t live = pn_alloc_live_bytes();
    for (size_t i = 0; i < 300; i++) {
        block[i] = i % 2 ? pn_alloc(i) : pn_alloc_zero(i);
        CHECK(block[i] && (uintptr_t)block[i] % 64 == 0);
        for (size_t j = 0; i % 2 == 0 && j < i; j++) CHECK(((char *)block[i])[j] == 0);
        memset(block[i], 0xA5, i);
    }
    CHECK(pn_alloc_live_bytes() - live == 299 * 300 / 2 && pn_alloc_peak_bytes() >= pn_alloc_live_bytes());
    for (int i = 0; i < 300; i++) pn_free(block[i]);
    pn_free(NULL);
    CHECK(pn_alloc_live_bytes() == live);
    CHECK(pn_alloc(SIZE_MAX) == NULL && pn_alloc(SIZE_MAX - 64) == NULL && pn_alloc_zero((size_t)PTRDIFF_MAX) == NULL);
}

TEST(allocations_fail_on_request) {
    pn_alloc_fail_at(3, false);
    for (int i = 1; i <= 6; i++) {
        void *p = pn_alloc(8);
        CHECK((p == NULL) == (i == 3));
        pn_free(p);
    }
    CHECK(pn_alloc_failures() == 1);
    pn_alloc_fail_at(2, true);
    for (int i = 1; i <= 6; i++) {
        void *p = pn_alloc_zero(8);
        CHECK((p == NULL) == (i >= 2));
        pn_free(p);
    }
    CHECK(pn_alloc_failures() == 5);
    pn_alloc_fail_at(0, false);
    void *p = pn_alloc(8);
    CHECK(p != NULL && pn_alloc_failures() == 0);
    pn_free(p);
}

TEST(sizes_do_not_wrap) {
    size_t out = 1;
    CHECK(pn_mul_size(3, 4, &out) && out == 12 && pn_mul_size(0, SIZE_MAX, &out) && out == 0 && pn_mul_size(SIZE_MAX, 1, &out) && out == SIZE_MAX);
    CHECK(!pn_mul_size(SIZE_MAX / 2, 3, &out) && !pn_add_size(SIZE_MAX, 1, &out) && pn_add_size(SIZE_MAX - 1, 1, &out) && out == SIZE_MAX);
}

/* The three known answers of the Random123 distribution, file kat_vectors. */
TEST(philox_gives_the_known_answers) {
    static const struct {
        uint64_t key, hi, lo;
        uint32_t want[4];
    } known[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        pn_philox4x32(known[i].key, known[i].hi, known[i].lo, out);
        CHECK(!memcmp(out, known[i].want, sizeof out));
    }
}

/* First outputs of the authors' xoshiro256++ from the state 1, 2, 3, 4. */
TEST(xoshiro_gives_the_known_answers) {
    static const uint64_t want[4] = {41943041, 58720359, 3588806011781223, 3591011842654386};
    pn_xoshiro g = {{1, 2, 3, 4}};
    for (int i = 0; i < 4; i++) CHECK(pn_xoshiro_next(&g) == want[i]);
    pn_xoshiro_seed(&g, 0); /* splitmix64 from 0 starts with this word */
    CHECK(g.s[0] == 0xE220A8397B1DCDAF && g.s[1] == 0x6E789E6AA1B965F4);
}

TEST(streams_can_be_entered_anywhere) {
    double whole[40], part[40];
    for (int kind = 0; kind < 2; kind++) {
        void (*draw)(uint64_t, uint64_t, uint64_t, int64_t, double *) = kind ? pn_rng_normal : pn_rng_uniform;
        draw(9, 4, 1000, 40, whole);
        for (int first = 0; first < 40; first++) {
            for (int n = 0; n <= 40 - first; n++) {
                draw(9, 4, 1000 + (uint64_t)first, n, part);
                CHECK(!memcmp(part, whole + first, (size_t)n * sizeof(double)));
            }
        }
    }
}

TEST(normals_agree_with_libm_and_have_the_right_moments) {
    enum { N = 200000 };
    double *u = malloc(N * sizeof *u), *z = malloc(N * sizeof *z), m1 = 0, m2 = 0, m4 = 0;
    pn_rng_uniform(77, 1, 0, N, u);
    pn_rng_normal(77, 1, 0, N, z);
    for (int i = 0; i < N; i += 2) {
        double radius = sqrt(-2 * log(1 - u[i])), angle = 6.283185307179586 * u[i + 1];
        CHECK_CLOSE(z[i], radius * cos(angle), 1e-14);
        CHECK_CLOSE(z[i + 1], radius * sin(angle), 1e-14);
    }
    for (int i = 0; i < N; i++) m1 += z[i] / N, m2 += z[i] * z[i] / N, m4 += pow(z[i], 4) / N;
    CHECK(fabs(m1) < 5 / sqrt(N) && fabs(m2 - 1) < 5 * sqrt(2.0 / N) && fabs(m4 - 3) < 5 * sqrt(96.0 / N), "%g %g %g", m1, m2, m4);
    free(u);
    free(z);
}

/* Own log, sin and cos: these bits must come out on every machine, compiler and instruction set. */
TEST(normals_have_the_same_bits_everywhere) {
    double z[1000];
    uint64_t mix = 0;
    pn_rng_normal(pn_hash64(2024, PN_STREAM_INIT), 3, 0, 1000, z);
    for (int i = 0; i < 1000; i++) {
        uint64_t bits;
        memcpy(&bits, z + i, sizeof bits);
        mix = (mix ^ bits) * 0x9E3779B97F4A7C15u;
        mix ^= mix >> 29;
    }
    CHECK(mix == UINT64_C(0x4e529a84e5f81f5d), "got 0x%016llx", (unsigned long long)mix);
}

TEST(shuffles_are_permutations_and_uniform) {
    int64_t idx[5], count[120] = {0};
    for (uint64_t epoch = 0; epoch < 12000; epoch++) {
        CHECK(pn_rng_permutation(3, epoch, 5, idx, NULL));
        int rank = 0;
        for (int i = 0; i < 5; i++) {
            int smaller = 0;
            for (int j = i + 1; j < 5; j++) smaller += idx[j] < idx[i];
            rank = rank * (5 - i) + smaller;
        }
        count[rank]++;
    }
    double chi2 = 0; /* 119 degrees of freedom: mean 119, deviation 15.4 */
    for (int i = 0; i < 120; i++) chi2 += (double)((count[i] - 100) * (count[i] - 100)) / 100;
    CHECK(chi2 > 50 && chi2 < 200, "chi2 %g", chi2);
    for (uint64_t i = 0; i < 1000; i++) CHECK(pn_rng_below(5, 6, i, i + 1) <= i);
    CHECK(pn_rng_permutation(3, 0, 0, NULL, NULL));
}

TEST(purposes_of_one_seed_differ) {
    uint64_t seen[200];
    for (uint64_t i = 0; i < 200; i++) {
        seen[i] = pn_hash64(i / 10, i % 10);
        for (uint64_t j = 0; j < i; j++) CHECK(seen[i] != seen[j]);
    }
}

static bool say_stop(void *context) { return ++*(int *)context >= 2; }

TEST(polling_asks_rarely_and_stays_stopped) {
    int asked = 0;
    pn_poll p;
    pn_poll_init(&p, say_stop, &asked);
    double start = pn_clock();
    while (!pn_poll_now(&p) && pn_clock() < start + 10) {}
    CHECK(asked == 2 && pn_clock() - start >= 2 * PN_POLL_SECONDS && pn_poll_stopped(&p) && pn_poll_now(&p) && asked == 2);
    CHECK(!pn_poll_now(NULL) && !pn_poll_stopped(NULL));
}

TEST(instruction_sets_have_names) {
    for (int i = 0; i < PN_ISA_COUNT; i++) CHECK(pn_isa_parse(pn_isa_name((pn_isa)i)) == i);
    CHECK(strcmp(pn_isa_name((pn_isa)99), "unknown") == 0);
    CHECK(pn_isa_parse("sse9") == -1 && pn_isa_parse(NULL) == -1 && pn_cpu_supports(PN_ISA_PORTABLE) && pn_cpu_supports(pn_cpu_best()));
    CHECK(pn_cpu_threads() >= 1 && strlen(pn_cpu_brand()) < 49 && !strcmp(pn_cpu_brand(), pn_cpu_brand()));
}
