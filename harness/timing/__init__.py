"""Timing in turns with the dense model, and the ratios of what was timed."""
