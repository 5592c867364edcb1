"""The paper's equations on tensors. No paths, no settings, no logging."""
