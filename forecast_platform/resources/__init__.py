"""What talks to the outside: landing files, the lake, the model registry."""
