"""`coreheads run`: profile, evaluate and time every cell, whatever happens."""
