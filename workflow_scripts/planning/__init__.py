"""From declarations (papers/, scales/, config.yaml) to a plan: every run, analysis and artifact, resolved and checked.

Planning reads YAML and names alone (no torch), since it happens each time the workflow is parsed. It stands above the
registries of data sets, models and schedules because it checks names against them.
"""
