"""The base model, its warmup and its per-example gradients. The only place that knows transformers and peft."""
