"""`coreheads bench`: dense against hybrid attention by phase and context length."""
