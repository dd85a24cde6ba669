"""What a registered version consists of, by SHA-256, and a local copy of it in which nothing has changed.

The digests stand in a tag of the version, in the registry's database: who can only write artifact files cannot change
them. Loading a model runs code (its own file, what its ``MLmodel`` names, pickles that a ``.pt2`` may hold), so a copy
is compared before anything of it is opened, and is itself what is loaded.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from mobilenet_chest.data.download import file_digest
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.tracking.store import reason

DIGESTS = "sha256"
"""Version tag: JSON of relative path -> SHA-256 (hex) of every file of the model's folder."""

_URI = re.compile(r"models:/([^/@]+)(?:@([\w-]+)|/(\d+))")


def folder_digests(folder: Path) -> dict[str, str]:
    """SHA-256 (hex) of every file below ``folder``, by path relative to it with ``/``.

    Raises:
        TrackingError: It holds something else than files and folders.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise TrackingError(f"{path.relative_to(folder).as_posix()} is neither a file nor a folder")
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = file_digest(path, "sha256")
    return found


def digests_tag(digests: dict[str, str]) -> str:
    """The tag's value."""
    return json.dumps(digests, sort_keys=True)


def find_version(client: MlflowClient, model_uri: str) -> ModelVersion:
    """The version that ``models:/NAME@ALIAS`` or ``models:/NAME/NUMBER`` stands for.

    Raises:
        TrackingError: Another form, or there is no such version.
    """
    form = "the form is models:/NAME@champion or models:/NAME/VERSION"
    match = _URI.fullmatch(model_uri)
    if match is None:
        raise TrackingError(f"model {model_uri}: not the address of a registered model; {form}")
    name, alias, number = match.groups()
    try:
        return client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, number)
    except MlflowException as error:
        raise TrackingError(f"model {model_uri}: there is none ({reason(error)}); {form}") from error


@contextmanager
def verified_copy(client: MlflowClient, version: ModelVersion) -> Iterator[Path]:
    """A local copy of a version's model folder, for the length of the block: exactly the files that were promoted.

    Raises:
        TrackingError: A file is changed, missing or was added, the version has no digests, or it cannot be fetched.
    """
    what = f"model models:/{version.name}/{version.version}"
    expected = _expected(version)
    if expected is None:
        raise TrackingError(
            f"{what}: carries no digests of its files, so they cannot be checked before they are loaded; promote the "
            f"run{f' {version.run_id}' if version.run_id else ''} again"
        )
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as target:
        try:
            uri = client.get_model_version_download_uri(version.name, version.version)
            folder = Path(download_artifacts(artifact_uri=uri, dst_path=target))
            found = folder_digests(folder)
        except (MlflowException, OSError) as error:
            raise TrackingError(
                f"{what}: its files cannot be fetched ({reason(error)}); promote the run again"
            ) from error
        except TrackingError as error:
            raise TrackingError(f"{what}: {error}; it is not loaded") from error
        wrong = [
            *(f"{path} was changed" for path in expected if path in found and found[path] != expected[path]),
            *(f"{path} is missing" for path in sorted(expected.keys() - found.keys())),
            *(f"{path} was added" for path in sorted(found.keys() - expected.keys())),
        ]
        if wrong:
            raise TrackingError(
                f"{what}: not the files that were promoted ({'; '.join(wrong)}); it is not loaded: see who can write "
                "the artifact store, then promote the run again"
            )
        yield folder


def _expected(version: ModelVersion) -> dict[str, str] | None:
    try:
        expected = json.loads(version.tags.get(DIGESTS, "null"))
    except ValueError:
        return None
    return expected if isinstance(expected, dict) else None
