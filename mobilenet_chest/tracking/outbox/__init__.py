"""Writes that the tracking store could not take yet: kept on the disk, flushed when it is back."""
