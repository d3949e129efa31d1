"""The read model: tables, the projector that writes them from events, the queries, and the migrations."""
