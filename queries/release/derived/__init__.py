"""What is computed from the released numbers of an answer: standardised rates, and differences of survival curves."""
