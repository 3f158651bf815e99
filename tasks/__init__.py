"""The benchmarks: one folder each, with lmms-eval YAML, regions and scorers."""
