"""The formats that tables come in, told by what a file begins with; each is read in a file of its own."""
