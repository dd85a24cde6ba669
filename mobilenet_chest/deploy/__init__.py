"""Using registered models, and looking after an installation."""
