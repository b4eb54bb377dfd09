"""Data sets of images: arrays in memory, or pictures that are decoded as they are needed."""
