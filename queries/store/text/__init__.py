"""Text files: their bytes, and the records in them."""
