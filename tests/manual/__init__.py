"""The site of the manual, and its gallery: how they are made, and that they are right."""
