"""Commands for people, not for the workflow: what a target costs, which results are stale."""
