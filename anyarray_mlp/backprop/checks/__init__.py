"""One check each: the gradient against finite differences, the forward pass, randomness, the update, a second call."""
