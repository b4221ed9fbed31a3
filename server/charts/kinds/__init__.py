"""The kinds of charts that answers have. Each module draws one, from numbers by at most two dimensions."""
