"""The pages: what each role does in a browser. A page asks the API for all that it shows and does (`calling.py`)."""
