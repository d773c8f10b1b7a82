"""Networks written by hand, in the styles in which people write them, right and with mistakes."""
