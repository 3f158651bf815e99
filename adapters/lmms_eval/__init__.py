"""The plug-in by which lmms-eval runs our models."""
