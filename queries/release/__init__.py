"""Noisy numbers -> the rows of an answer, and their post-processing."""
