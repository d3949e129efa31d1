"""Activities and jobs: they store what workflows record, and send notices."""
