"""Who has which role: the first users of a home, what one person cannot do alone, and users who leave."""
