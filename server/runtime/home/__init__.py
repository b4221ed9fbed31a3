"""The home while it is in use: folders of imports, who may read it, and the clock."""
