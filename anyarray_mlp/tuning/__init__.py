"""Better settings for a table, searched by Optuna: `anyarray-mlp tune`."""
