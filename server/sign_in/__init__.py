"""Signing in by an OpenID Connect issuer: its keys, its access tokens and what they claim."""
