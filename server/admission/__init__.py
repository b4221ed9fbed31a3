"""Who works at once, who waits and who is refused (`gate.py`, with the limits of `gates.py`), and who gives up."""
