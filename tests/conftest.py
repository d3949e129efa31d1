"""What every test may use. The real servers are in `support`."""

from hypothesis import HealthCheck, settings

settings.register_profile("jiesu", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("jiesu")
