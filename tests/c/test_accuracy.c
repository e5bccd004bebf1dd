/* The vector mathematics on a sample of its arguments; `make full` runs accuracy.c on all floats. */
#define main accuracy_main
#include "accuracy.c"
#undef main
#include "test.h"

TEST(errors_in_units_of_the_last_place) {
    char *words[] = {"accuracy", "quick"};
    CHECK(accuracy_main(2, words) == 0, "a function is worse than its line in accuracy.c says");
}
