"""Data sets: what is known of them, how they are prepared once, and how a run holds them on its device."""
