"""What a run knows before it computes: checks, the model, the plan, and how long it takes."""
