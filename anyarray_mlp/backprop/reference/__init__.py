"""A reference network fitted to the user's, and the mistakes planted in it to see which one explains the difference."""
