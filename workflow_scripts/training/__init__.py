"""One engine for every training: schedules, sampling, the step, checkpoints, resume."""
