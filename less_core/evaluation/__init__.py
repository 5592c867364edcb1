"""How good a trained model is: whether its answers are right, and the tasks of lm-eval."""
