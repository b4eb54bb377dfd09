"""The version of the code that trains, part of every training's recipe. Kinds of analysis have theirs in their records.

Raise a number when the same recipe would give other numbers than before: results of the older code then have other
fingerprints and are never mixed with the new ones. Refactoring and comments raise nothing.
"""

TRAINING = 1
