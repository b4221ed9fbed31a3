"""How much one person contributes, and which bounds on it lose the least."""
