"""What files, values and code hold, as a short text."""
