"""The only Python loop, and the only part with side effects."""
