"""What the machine does while it trains: processors, memory, disk, network."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from mobilenet_chest.errors import MobilenetChestError


class SystemMonitor(SystemMetricsMonitor):
    """MLflow's own, whose figures go where the training's own go: guarded, and kept while the store is away.

    Args:
        run_id: The run.
        resumed: Whether it goes on after the figures that the run has.
        log: Takes figures and their step.
    """

    def __init__(self, run_id: str, resumed: bool, log: Callable[[Mapping[str, float], int], None]) -> None:
        super().__init__(run_id, resume_logging=resumed)
        self._log = log

    def monitor(self) -> None:
        """Until :meth:`finish`: MLflow's own asks the store whether the run goes on, and ends when it is away."""
        prefix = self._metrics_prefix + (f"{self.node_id}/" if self.node_id else "")
        while True:
            for _ in range(self.samples_before_logging):
                self.collect_metrics()
                if self._shutdown_event.wait(self.sampling_interval):
                    return
            figures = {f"{prefix}{name}": value for name, value in self.aggregate_metrics().items()}
            try:
                self._log(figures, self._logging_step)
            except (MlflowException, MobilenetChestError, OSError) as error:
                print(f"run {self._run_id}: no further system metrics ({error})", file=sys.stderr)
                return
            self._logging_step += 1
            for monitor in self.monitors:
                monitor.clear_metrics()
