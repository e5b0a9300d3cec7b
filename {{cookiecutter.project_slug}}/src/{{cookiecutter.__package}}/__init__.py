"""The model's own code. Each step of the training pipeline is a function with its module's name."""
