"""From declarations (papers/, scales/, config.yaml) to a plan: every run, analysis and artifact, resolved and checked.

Runs are resolved first, then analyses of their checkpoints, then artifacts and claims of both; none changes another.

Planning reads YAML and names alone (no torch), since it happens each time the workflow is parsed. It stands above the
registries of data sets, models and schedules because it checks names against them.
"""
