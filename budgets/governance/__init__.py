"""Studies and datasets: who decides what, and what becomes of names afterwards."""
