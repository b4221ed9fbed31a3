"""Query and catalog -> plan: sensitivities, noise, cost and what to know beforehand. No data is touched."""
