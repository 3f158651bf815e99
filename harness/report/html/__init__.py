"""The page: one file that needs no network."""
