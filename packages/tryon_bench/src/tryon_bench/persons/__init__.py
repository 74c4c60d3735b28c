"""Person mask and joints where a user has none: the MediaPipe models that npm packages carry, run as they are."""
