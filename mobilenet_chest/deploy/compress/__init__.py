"""Compression: another run's model made smaller or faster, as a run that must prove itself."""
