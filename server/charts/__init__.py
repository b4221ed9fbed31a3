"""Answers as charts: SVG without scripts, with the margin of every number. Begin with `chart.py`."""
