"""Protocols: the schema, the presets, and what differs between two of them."""
