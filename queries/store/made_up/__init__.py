"""Made-up data in the shape of a catalog, as files for programs that are still to be written."""
