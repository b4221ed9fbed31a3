"""What is asked and how it is answered. Knows nothing of HTTP, budgets or users."""
