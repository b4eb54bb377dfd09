"""The loss as a function of the weights: curves between modes, planes through them, and what is measured at a point."""
