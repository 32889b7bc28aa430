"""`demo`: placeholder until the whole story is there."""
