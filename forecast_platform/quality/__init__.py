"""What is usual for a delivered source, and whether a week of it is: frames in, verdicts out."""
