"""How scans run and when their answers leave: the engine of an edition, how fast it is, and the beat."""
