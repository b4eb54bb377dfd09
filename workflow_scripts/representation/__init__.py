"""What two networks have in common: SVCCA between their layers, and t-SNE of their weights."""
