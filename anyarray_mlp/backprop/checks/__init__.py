"""One file per check: gradient, numerical slopes, forward pass, randomness, update, mini-batches, memory."""
