"""What an admin does: datasets and their caps, studies and their budgets, users, tokens, and how the server is."""
