"""Experiments in production: kept in the lake, served beside the champion, judged, ended."""
