"""Measures that benchmarks share."""
