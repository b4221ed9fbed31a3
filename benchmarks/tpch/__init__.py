"""TPC-H with the customer as the person: a workload that nobody here wrote."""
