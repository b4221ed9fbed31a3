"""HTTP, the command line and the journey of a query (`answer.py`: read it first) around the two other packages."""
