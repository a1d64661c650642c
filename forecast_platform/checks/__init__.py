"""Asset checks that hold tables and models to their contracts."""
