"""Rows as words and pictures."""
