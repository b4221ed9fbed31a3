"""Import: source files -> the person-ordered, integer-coded store of an edition."""
