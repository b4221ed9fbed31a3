"""The append-only audit log, its signing key, and what is read from the log."""
