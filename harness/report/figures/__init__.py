"""Pictures of boards, heads and attention."""
