"""What a researcher asks, as a frozen tree, and its two spellings: JSON and SQL."""
