"""MLVU: multiple choice about long videos."""
