"""Every cause that the checks can name, and the findings that name them."""
