"""System metrics: use of processors, memory, disk and network while a model is trained."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from mobilenet_chest.errors import MobilenetChestError
from mobilenet_chest.tracking.runs import short_id

logger = logging.getLogger(__name__)


class SystemMonitor(SystemMetricsMonitor):
    """MLflow's monitor, whose metrics go the way of the training's: guarded, and kept while the store is away.

    Args:
        run_id: The run.
        resumed: Whether to continue after the system metrics that the run has.
        log: Writes metrics by name, and their step.
    """

    def __init__(self, run_id: str, resumed: bool, log: Callable[[Mapping[str, float], int], None]) -> None:
        super().__init__(run_id, resume_logging=resumed)
        self._log = log

    def monitor(self) -> None:
        """Measure until :meth:`finish`; MLflow's method ends as soon as the store is away."""
        prefix = self._metrics_prefix + (f"{self.node_id}/" if self.node_id else "")
        while True:
            for _ in range(self.samples_before_logging):
                self.collect_metrics()
                if self._shutdown_event.wait(self.sampling_interval):
                    return
            metrics = {f"{prefix}{name}": value for name, value in self.aggregate_metrics().items()}
            try:
                self._log(metrics, self._logging_step)
            except (MlflowException, MobilenetChestError, OSError) as error:
                logger.warning(f"run {short_id(self._run_id)}: no further system metrics ({error})")
                return
            self._logging_step += 1
            for monitor in self.monitors:
                monitor.clear_metrics()
