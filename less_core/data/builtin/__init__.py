"""The paper's targets and gsm8k: where their rows come from, and the exact strings that they are rendered to."""
