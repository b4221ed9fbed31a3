"""How a server is called: HTTP, retries, tokens and signing in."""
