"""What may be spent and what was spent. This package knows nothing of HTTP or queries."""
