"""Engines: each yields the batches of a scan in person order. The rest of Rowless does not know which one runs."""
