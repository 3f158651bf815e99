"""MMLongBench (Wang et al. 2025): long contexts of pages, pictures and texts. Not MMLongBench-Doc."""
