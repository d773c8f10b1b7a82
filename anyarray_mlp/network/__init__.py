"""What a network is: its shape, its forward and backward pass, its starting weights and how they are updated."""
