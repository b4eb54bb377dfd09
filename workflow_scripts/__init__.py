"""Closer Look: the stages of the pipeline (one thin module per rule) and, in subpackages, the library behind them.

Imports run one way: stage modules → training, landscape, representation, evidence → models, datasets → recipes → base.
"""
