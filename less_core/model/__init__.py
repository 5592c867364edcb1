"""The base model, its warmup and its per-example gradients. Models are loaded here, and by the demo."""
