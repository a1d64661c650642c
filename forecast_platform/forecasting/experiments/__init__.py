"""Two models compared in production: who is served by which, and which is better."""
