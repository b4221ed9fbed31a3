"""What a researcher does: studies, the catalog, asking, answers. The other roles see the same, without asking."""
