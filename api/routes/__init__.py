"""The routes. Each route turns a request into one call of a service, and the call's result into an answer."""
