"""Studies and datasets: who decides what, and how long names are kept."""
