"""Activities and outbox jobs: they store events, send notices, archive and erase."""
