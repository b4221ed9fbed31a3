"""Manifests before the import: drafts from names and types, and checks against what the sources have."""
