"""Documents and slides in words that SmolLM2 knows, printed for the model ``smol`` in three benchmarks' formats."""
