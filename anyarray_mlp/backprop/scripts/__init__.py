"""Scripts and notebooks that train as they run: recorded from the first line, with no description."""
