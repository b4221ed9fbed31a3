"""The demonstration: made-up data and the whole journey on them."""
