"""What LESS is held against: methods that score a pool's examples without gradients, each from its own formula."""
