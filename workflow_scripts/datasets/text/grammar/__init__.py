"""A small language of our own, English and German, so that everything about text can be tried without a network.

`sentences` translates, `stories` tells of people and asks about them, `files` writes both as a user's text would lie.
"""
