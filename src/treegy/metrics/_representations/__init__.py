"""Metrics of representations: distances of samples, neighbours of the same label, and how embeddings vary."""
