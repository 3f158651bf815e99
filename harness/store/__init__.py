"""A run's folder on disk: what is in it, and that only one process writes it."""
