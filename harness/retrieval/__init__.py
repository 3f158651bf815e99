"""Measuring heads on a model: attention mass on what a question asks about, and the profile of many samples."""
