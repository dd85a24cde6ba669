"""Pictures of any kind, from folders, tables and DICOM, into one data file; the same decoding serves ``predict``.

``importer`` tells the story. ``sources`` finds the files, ``pictures`` and ``dicom`` (with ``gray_levels``) decode one,
``preparation`` makes it small, ``shards`` does both in all cores, ``rows`` has what can be used, ``division`` chooses
the splits, ``archive`` writes the file, ``summary`` reports.
"""
