"""Self-contained HTML reports and the pictures in them."""
