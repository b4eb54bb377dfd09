"""Evidence: tidy tables, where they came from, and the statistics that are drawn from them."""
