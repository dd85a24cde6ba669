"""Several trainings combined or compared: ensembles, soups, distillation, ablations and baselines."""
