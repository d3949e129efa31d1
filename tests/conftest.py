"""What every test may use. The real servers are in `support`."""

from hypothesis import HealthCheck, settings

# The same examples in every run: what fails once fails until it is mended. `make night` searches for new ones.
settings.register_profile(
    "jiesu", deadline=None, print_blob=True, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
settings.load_profile("jiesu")
