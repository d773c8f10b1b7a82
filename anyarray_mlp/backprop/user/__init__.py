"""The user's code: found, called, and put back as it was."""
