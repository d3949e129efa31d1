"""The rules of Jiesu: pure functions over frozen values, standard library only."""
