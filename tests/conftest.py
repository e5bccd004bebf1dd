"""How the tests run: profiles of Hypothesis (`make fuzz` takes the larger one)."""

from hypothesis import HealthCheck, settings

# No deadline: a shared machine may stall any example. Failing examples are printed with the line that repeats them.
settings.register_profile(
    "usual", deadline=None, max_examples=60, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("fuzz", settings.get_profile("usual"), max_examples=3000)
settings.load_profile("usual")
