"""Checks of what users and files pass in (names, values, options, records), and how error messages show it."""
