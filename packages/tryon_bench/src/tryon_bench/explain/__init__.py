"""Why two numbers differ: one folder under every protocol, and a gap taken apart by its causes."""
