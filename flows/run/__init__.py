"""What every run does beside its stages: progress, pause, waiting, its name, its outcome, and where heavy tasks run."""
