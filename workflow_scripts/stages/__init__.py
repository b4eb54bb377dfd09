"""One thin command for each rule of the workflow: parse, load, call, save.

Each runs alone on files of any origin: `python -m workflow_scripts.stages.NAME --help`.
"""
