"""Import on a cluster: the same manifest gives the same edition, in parts."""
