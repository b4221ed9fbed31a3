"""Spark as the engine of editions that outgrew one machine: the same plan, SQL and kernel on every part."""
