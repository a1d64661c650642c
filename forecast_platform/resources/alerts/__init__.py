"""Telling people: what an alert is, who gets it, how it is sent, and what was sent already."""
