"""The program that trained the embedded model."""
