"""The user's own code run on arrays that record: every value with its line, and every true cotangent."""
