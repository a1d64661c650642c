"""From a forecast back to what it was made from, and the same made again from it."""
