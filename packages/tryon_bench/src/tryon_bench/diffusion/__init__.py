"""ControlNet-guided Paint-by-Example: inpainting by diffusion that is shown the garment (survey, v1 and v2)."""
