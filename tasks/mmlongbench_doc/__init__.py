"""MMLongBench-Doc: questions about long documents."""
