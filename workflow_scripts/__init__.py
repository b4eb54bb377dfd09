"""Closer Look: a command for each rule of the workflow (stages), commands for people, and the library behind them.

Imports run one way: stages, commands → planning, training, landscape, representation, plotting → tasks → generation →
runtime → models, datasets, evidence → recipes → base. Nothing here imports Snakemake, but for a price's dry run.
"""
