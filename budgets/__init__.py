"""What may be spent and what was. Knows nothing of HTTP or queries."""
