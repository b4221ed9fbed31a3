"""The parts of the form that builds a query: its lines, and what each kind of line says in JSON."""
