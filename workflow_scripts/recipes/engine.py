"""Version numbers of everything that computes results; each is part of the recipes it serves.

Raise a number when the same recipe would give other numbers than before: results of the older code then have other
fingerprints and are never mixed with the new ones. Refactoring and comments raise nothing.
"""

TRAINING = 1
CURVE = 1
PLANE = 1
SIMILARITY = 1
EMBEDDING = 1
SHARPNESS = 1
FISHER = 1
RANGE_TEST = 1
TRANSLATION = 1
ANSWERS = 1
