"""From stored cells to boards: rows, merging, publishing."""
