"""Whether an MLflow server can be used, asked as MLflow's client asks it: with certificates, user and time limits."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from mobilenet_chest.errors import TrackingError
from mobilenet_chest.tracking.client import answer_within

ANSWER_SECONDS = 5
"""How long a server may take to answer a check; the user's MLFLOW_HTTP_REQUEST_TIMEOUT counts more."""

_SEARCH = "/api/2.0/mlflow/experiments/search"

_ADVICE = {
    401: "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    403: "use a user who may read and write, and an address under which the server allows requests "
    "(mlflow server --allowed-hosts)",
    404: "it is no MLflow server, or MLFLOW_TRACKING_URI lacks a part of its path",
    407: "set the user of the proxy in HTTPS_PROXY, or add the server to NO_PROXY",
}
"""What to do about a status."""


def is_server(uri: str) -> bool:
    """Return whether an address names a server that speaks HTTP."""
    try:
        return urlsplit(uri).scheme in ("http", "https")
    except ValueError:  # an address that is none, such as http://[1
        return uri.lower().startswith("http")


def check_server(uri: str, shown: str) -> None:
    """Check within seconds that a server answers, and that it lets this user search; nothing is written.

    Args:
        uri: Its address.
        shown: The address without its password, for messages.

    Raises:
        TrackingError: It does not answer, or refuses.
    """
    status = _request(uri, shown, "/health", "GET").status_code
    if status >= 500:
        raise TrackingError(f"the tracking server at {shown} answers HTTP {status}; see its own log")
    # /health is answered to everyone, and by other servers too
    answer = _request(uri, shown, _SEARCH, "POST", json={"max_results": 1})
    if answer.status_code != 200:
        advice = _ADVICE.get(answer.status_code, "see its own log")
        raise TrackingError(f"the tracking server at {shown} answers HTTP {answer.status_code}; {advice}")
    try:
        answer.json()
    except ValueError:
        raise TrackingError(f"the server at {shown} does not answer as MLflow does; {_ADVICE[404]}") from None


def _request(uri: str, shown: str, path: str, method: str, **body: object) -> requests.Response:
    try:
        with answer_within(ANSWER_SECONDS):
            answer: requests.Response = http_request(
                get_default_host_creds(uri), path, method, max_retries=0, raise_on_status=False, **body
            )
    except (MlflowException, requests.RequestException, OSError) as error:
        raise _no_answer(error, error.__cause__ or error.__context__, shown) from error
    return answer


def _no_answer(error: Exception, cause: BaseException | None, shown: str) -> TrackingError:
    if isinstance(cause, requests.exceptions.SSLError):
        return TrackingError(
            f"the certificate of the tracking server at {shown} is not trusted (SSLError); set "
            "MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate of its authority"
        )
    if isinstance(cause, OSError) and not isinstance(cause, requests.exceptions.ConnectionError | requests.Timeout):
        return TrackingError(
            f"the tracking server at {shown} cannot be asked ({str(cause).splitlines()[0]}); correct "
            "MLFLOW_TRACKING_SERVER_CERT_PATH or MLFLOW_TRACKING_CLIENT_CERT_PATH"
        )
    if cause is None:  # MLflow's own settings exclude each other, say
        return TrackingError(f"the tracking server at {shown} cannot be asked: {str(error).splitlines()[0]}")
    return TrackingError(
        f"no tracking server answers at {shown} ({type(cause).__name__}); start one with `mlflow server`, or "
        "unset MLFLOW_TRACKING_URI to use a local file"
    )
