"""Recipes: their one spelling and identity, what they inherit, the schedules they name, and the schemas they obey."""
