"""Speed, measured. Each module prints one run; docs/benchmarks.md keeps the figures."""
