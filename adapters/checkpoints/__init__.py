"""Find a checkpoint and load it with its family's adapter."""
