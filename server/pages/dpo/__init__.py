"""What DPOs do alone: alerts, the log and its proofs, spending, reports, erasures."""
