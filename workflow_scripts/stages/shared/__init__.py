"""What several stages share: the data and networks of an analysis, and measurements of trials."""
