"""The kernel's fast loops. Read `fused.py` first."""
