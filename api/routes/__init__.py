"""The routes: each turns a request into one call and its result into an answer."""
