"""Where the world is touched: what workflows ask to be stored, and what people are told."""
