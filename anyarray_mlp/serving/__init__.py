"""A trained model behind HTTP: `anyarray-mlp serve`."""
