"""Users, their roles and tokens, and the commitments that stand for them in the log."""
