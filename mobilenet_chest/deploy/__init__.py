"""Models outside this project: exported files, and the proof that they predict as their runs did."""
