"""The public schema of a dataset, and the manifest in which a custodian declares it."""
