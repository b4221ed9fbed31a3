"""From noisy numbers to the values of statistics and their intervals."""
