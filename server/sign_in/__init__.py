"""Who comes in and how often: an OpenID Connect issuer with its keys and access tokens, and rates of requests."""
