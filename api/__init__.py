"""The HTTP API: routes, the shapes of requests and answers, and the identity of callers."""
