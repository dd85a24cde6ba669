"""From several trainings to one result: ensembles, soups, taught students, ablations, tables of baselines."""
