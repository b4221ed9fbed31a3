"""The HTTP API: its routes, the shapes of requests and replies, and the OpenAPI document."""
