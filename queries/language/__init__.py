"""What a researcher asks, as a frozen tree, and the parts of its two spellings: JSON and SQL."""
