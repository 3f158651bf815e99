"""`coreheads doctor`: what this machine and a model can do together."""
