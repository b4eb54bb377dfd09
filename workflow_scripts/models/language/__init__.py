"""The networks of iyer2020's language experiments: a translation transformer, and BERT, on one attention layer."""
