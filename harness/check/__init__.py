"""`coreheads check`: the gate that notices a regression."""
