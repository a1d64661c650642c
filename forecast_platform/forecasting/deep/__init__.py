"""Models for 13 to 52 weeks ahead, of regions and clusters of stores: frames in, frames out."""
