"""What is written from the code and not by hand: `python -m tools` writes it anew after a change that you mean."""
