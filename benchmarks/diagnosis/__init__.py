"""How well the diagnosis names what is wrong."""
