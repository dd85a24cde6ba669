"""The commands ``data …``."""

from __future__ import annotations

from mobilenet_chest.cli.lazy import lazy_group

COMMANDS = {
    "info": "Show data sets with their labels, or what a file holds.",
    "import": "Make a data file of pictures in folders, of a table of files, of DICOM, or of arrays.",
    "fetch": "Download a MedMNIST file.",
    "phantom": "Write synthetic radiographs in ChestMNIST's layout.",
    "check": "Say whether images without labels are like those a run was validated on.",
    "audit": "Find duplicates, patients in two splits, shifts and damaged images.",
}

group = lazy_group(__name__, "Inspect, download and make data sets.", {"Commands": COMMANDS})
