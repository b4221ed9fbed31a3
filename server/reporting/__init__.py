"""The DPO's report of a study or a dataset: what was released, what it could reveal, and what a regulator asks."""
