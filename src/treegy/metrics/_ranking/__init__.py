"""Metrics of rankings: a list of documents for each query, with a score and a relevance for each. A value per query."""
