"""What is said before the work: checks, the model, the plan, the time it takes."""
