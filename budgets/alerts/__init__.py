"""What a data protection officer is told without asking for it."""
