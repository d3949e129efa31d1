"""Benchmarks of Jiesu; each figure is measured in the same run as a floor to compare with."""
