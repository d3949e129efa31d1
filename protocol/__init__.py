"""A command from admission to receipt, without HTTP."""
