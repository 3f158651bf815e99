"""How the attention of a patch is computed, and which kernel is the fastest here."""
