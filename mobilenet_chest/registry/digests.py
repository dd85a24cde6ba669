"""SHA-256 digests of a registered version's files, and a local copy that is checked against them.

The digests are a tag of the version, in the registry's database: a person who can only write artifact files cannot
change them. Loading a model runs code: its own file, what its ``MLmodel`` names, pickles that a ``.pt2`` may hold. So
the files are copied, the copy is checked before any of it is opened, and the copy is what is loaded.
"""

from __future__ import annotations

import json
import logging
import re
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from mobilenet_chest.download import file_digest
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.registry.versions import newest_version, unknown_model, versions_left
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.runs import find_run, short_id
from mobilenet_chest.tracking.store import reason

logger = logging.getLogger(__name__)

ADDRESS = re.compile(r"models:/([^/@]+)(?:@([\w-]+)|/(\d+))")


def folder_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 (hex) of every file below ``folder``, by path relative to it with ``/``.

    Raises:
        TrackingError: The folder holds something other than files and folders.
    """
    digests = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise TrackingError(f"{path.relative_to(folder).as_posix()} is neither a file nor a folder")
        if path.is_file():
            digests[path.relative_to(folder).as_posix()] = file_digest(path, "sha256")
    return digests


def digests_tag(digests: dict[str, str]) -> str:
    """Return the value of the version tag ``sha256``."""
    return json.dumps(digests, sort_keys=True)


def model_address(text: str) -> str:
    """Return the address of a registered model that is given as NAME, NAME@ALIAS, NAME/VERSION, or so already.

    NAME is the study's, unless its run was promoted under another one; its alias is ``champion``.
    """
    if ":/" in text:
        return text
    return f"models:/{text}" if "@" in text or "/" in text else f"models:/{text}@champion"


def promoted_address(client: MlflowClient, text: str) -> str:
    """Return the address of a model as :func:`model_address`, or of the newest version of a run or a study's best run.

    A registered model goes before a run or study of the same name.

    Raises:
        TrackingError: There is such a run or study, but it was not promoted; or the store is away.
    """
    address = model_address(text)
    if address != f"models:/{text}@champion" or unknown_model(client, text) is None:
        return address
    try:
        run_id = find_run(client, text).run_id
    except TrackingError:
        return address  # neither: what is registered is said when it is looked up
    if (version := newest_version(client, run_id)) is None:
        raise TrackingError(
            f"model {text}: run {short_id(run_id)} is not registered; to do it, type: mobilenet-chest promote "
            f"{shlex.quote(text)}"
        )
    logger.info("%s: run %s, version %s of '%s'", text, short_id(run_id), version.version, version.name)
    return f"models:/{version.name}/{version.version}"


def find_version(client: MlflowClient, model_uri: str) -> ModelVersion:
    """Return the version that ``models:/NAME@ALIAS`` or ``models:/NAME/NUMBER`` names.

    Raises:
        TrackingError: The address has another form, or there is no such version.
    """
    form = "the form is models:/NAME@champion or models:/NAME/VERSION"
    match = ADDRESS.fullmatch(model_uri)
    if match is None:
        raise TrackingError(f"model {model_uri}: not the address of a registered model; {form}")
    name, alias, number = match.groups()
    try:
        return client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, number)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise TrackingError(f"model {model_uri}: cannot be found ({reason(error)}); {form}") from error
        others = unknown_model(client, name) or f"; {versions_left(client, name)}"
        raise TrackingError(
            f"model {model_uri}: does not exist{others}; to make it, type: mobilenet-chest promote RUN_ID --name {name}"
            f"{f' --alias {alias}' if alias else ''}; {form}"
        ) from error


@contextmanager
def verified_copy(client: MlflowClient, version: ModelVersion) -> Iterator[Path]:
    """Copy a version's model folder for the block, and check that it holds exactly the files that were promoted.

    Raises:
        TrackingError: A file was changed, removed or added; or the version has no digests, or cannot be downloaded.
    """
    model = f"model models:/{version.name}/{version.version}"
    expected = _expected(version)
    if expected is None:
        raise TrackingError(
            f"{model}: has no digests of its files, so they cannot be checked before loading; promote the "
            f"run{f' {short_id(version.run_id)}' if version.run_id else ''} again"
        )
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as target:
        try:
            uri = client.get_model_version_download_uri(version.name, version.version)
            folder = Path(download_artifacts(artifact_uri=uri, dst_path=target))
            actual = folder_digests(folder)
        except (MlflowException, OSError) as error:
            message = f"{model}: its files cannot be downloaded ({reason(error)}); promote the run again"
            raise TrackingError(message) from error
        except TrackingError as error:
            raise TrackingError(f"{model}: {error}; it was not loaded") from error
        wrong = [
            *(f"{path} was changed" for path in expected if path in actual and actual[path] != expected[path]),
            *(f"{path} is missing" for path in sorted(expected.keys() - actual.keys())),
            *(f"{path} was added" for path in sorted(actual.keys() - expected.keys())),
        ]
        if wrong:
            raise TrackingError(
                f"{model}: not the files that were promoted ({'; '.join(wrong)}); it was not loaded; check who can "
                "write to the artifact store, then promote the run again"
            )
        yield folder


def _expected(version: ModelVersion) -> dict[str, str] | None:
    try:
        expected = json.loads(version.tags.get(tags.FILE_DIGESTS, "null"))
    except ValueError:
        return None
    return expected if isinstance(expected, dict) else None
