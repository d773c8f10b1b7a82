"""From raw data to a trained model, and from a trained model to predictions on raw data."""
