"""What is on record of the model: network, training, how it was tuned and chosen, threshold, software and hardware."""

from __future__ import annotations

from mobilenet_chest.config import flatten
from mobilenet_chest.config.formats import count
from mobilenet_chest.config.recipe import Stage2Config, StageConfig
from mobilenet_chest.report.checklists.record import Record
from mobilenet_chest.report.provenance import UNCOMMITTED
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifacts import run_config
from mobilenet_chest.tracking.runs import nested_runs, ranked_trials

MODEL_FACTS = ("task", "model", "weights", "building", "augmentation", "tuning", "seeds", "selection", "ensemble",
               "predicting", "threshold", "updating", "experiment", "artifacts", "code", "software",
               "hardware")  # fmt: skip


def model_facts(record: Record) -> dict[str, str]:
    """Return the facts :data:`MODEL_FACTS`."""
    config, run_id, (class0, class1) = record.run.config, record.run.run_id, record.run.classes
    network = record.tags.get(tags.MODEL, config.model.name)
    parameters = count(record.run.metrics.get("parameters"), "an unknown number of")
    commit, version = record.tags.get(tags.GIT_COMMIT), record.tags.get(tags.PACKAGE_VERSION)
    return {
        "task": f"a neural network ({network}) that tells {class1} from {class0} in one image",
        "model": f"network {network}, {parameters} parameters, one logit; "
        f"head of widths {', '.join(map(str, config.model.hidden)) or 'none'}, pooling {config.model.pooling}, "
        f"attention {config.model.attention}, dropout {config.model.dropout:g}",
        "weights": f"initial weights: {record.tags.get(tags.WEIGHTS, config.model.weights)}",
        "building": _building(record),
        "augmentation": _augmentation(record),
        "tuning": _tuning(record),
        "seeds": _seeds(record),
        "selection": _selection(record),
        "ensemble": _ensemble(record),
        "predicting": "probability of class 1: the mean of those of the image and of its mirror image, not calibrated; "
        "mobilenet-chest predict, serve and export compute it",
        "threshold": f"output: a probability of {class1}; {class1} is said from {record.run.threshold:.4g} on, the "
        f"threshold between {config.evaluation.threshold_low:g} and {config.evaluation.threshold_high:g} with the "
        f"highest accuracy on {_chosen_on(record)}",
        "updating": _updating(record),
        "experiment": f"all fields are in config.yaml of run {run_id}, digest {record.tags.get(tags.CONFIG_DIGEST)}",
        "artifacts": _artifacts(record),
        "code": f"mobilenet-chest {version}, commit {commit}{UNCOMMITTED.get(record.tags.get(tags.GIT_DIRTY, ''), '')}",
        "software": _after("software: ", record.tags.get(tags.SOFTWARE)),
        "hardware": _after("hardware: ", record.tags.get(tags.HARDWARE)),
    }


def _after(what: str, text: str | None) -> str:
    return f"{what}{text}" if text else ""


def _building(record: Record) -> str:
    config = record.run.config
    optimizer, loss = config.optimizer, config.loss
    batch = optimizer.batch_size * optimizer.accumulation
    gamma = f", gamma {2 if loss.focal_gamma is None else loss.focal_gamma:g}" if loss.name == "focal" else ""
    return (
        f"stage 1, head only: {_stage(config.stage1)}; stage 2, fine-tuning: {_stage(config.stage2)}; "
        f"optimizer {optimizer.name}, weight decay {optimizer.weight_decay:g}, {batch} images a step; "
        f"loss {loss.name}{gamma}, label smoothing {loss.label_smoothing:g}"
    )


def _stage(stage: StageConfig) -> str:
    if not stage.epochs:
        return "left out"
    ends = "" if stage.patience is None else f", ends after {stage.patience} without a new best"
    frozen = ", BatchNorm statistics frozen" if isinstance(stage, Stage2Config) and stage.batchnorm == "frozen" else ""
    return f"epochs: at most {stage.epochs}{ends}, learning rate {stage.lr:g}, schedule {stage.schedule}{frozen}"


def _augmentation(record: Record) -> str:
    fields = flatten(record.run.config.augment.model_dump(mode="json"))
    chosen = [f"{name} {value}" for name, value in fields.items() if value not in (0, None, {})]
    return f"augmentation: {', '.join(chosen) or 'none'}"


def _tuning(record: Record) -> str:
    """Return the search that a run comes from, with the space; of a run without a study, that its fields were given."""
    study = record.study
    if study is None:
        return "no search: all hyperparameters were given in the experiment"
    config = run_config(record.client, study)
    space = ", ".join(
        f"{path} in {', '.join(map(str, each.choices))}" if each.choices is not None
        else f"{path} {each.low:g} to {each.high:g}{' (log)' if each.log else ''}"
        for path, each in config.search.items()
    )  # fmt: skip
    complete = len(ranked_trials(record.client, study))
    return (
        f"search: study {study.data.tags[tags.STUDY]}, {complete} complete trials, sampler {config.study.sampler}, "
        f"pruner {config.study.pruner}; searched: {space}"
    )


def _seeds(record: Record) -> str:
    text = f"seed {record.run.config.seed}"
    if record.study is None:
        return text
    confirming = [
        int(run.data.tags[tags.CONFIRM_SEED])
        for run in nested_runs(record.client, record.study.info.run_id)
        if run.data.tags.get(tags.KIND) == tags.CONFIRM_KIND and tags.CONFIRM_SEED in run.data.tags
    ]
    if not confirming:
        return text
    return f"{text}; the best trials were trained again with the seeds {', '.join(map(str, sorted(set(confirming))))}"


def _selection(record: Record) -> str:
    text = f"epoch: the best {record.run.config.evaluation.metric}; threshold: on {_chosen_on(record)}"
    if record.study is None:
        return text
    labels = record.study.data.tags
    goal = {"maximize": "highest", "minimize": "lowest"}[labels[tags.DIRECTION]]
    again = ", after the best ones were trained again" if labels.get(tags.CONFIRMED_RUN) else ""
    return f"{text}; trial: the {goal} {labels[tags.METRIC]}{again}; none of these choices used the test split"


def _chosen_on(record: Record) -> str:
    if record.run.config.evaluation.threshold_on == "stress":
        return "stressed copies of validation images"
    return record.run.images_scored


def _ensemble(record: Record) -> str:
    if tags.MEMBERS not in record.tags:
        return "no models were combined"
    what = "weights" if record.tags.get(tags.KIND) == tags.SOUP_KIND else "probabilities"
    return f"mean of the {what} of the runs {record.tags[tags.MEMBERS].replace(',', ', ')}"


def _updating(record: Record) -> str:
    if tags.COMPRESSION in record.tags:
        return f"compressed ({record.tags[tags.COMPRESSION]}) from run {record.tags.get(tags.PARENT_RUN)}"
    return "nothing of the model was changed after its evaluation"


def _artifacts(record: Record) -> str:
    versions = record.client.search_model_versions(f"run_id = '{record.run.run_id}'")
    registered = ", ".join(f"{each.name} version {each.version}" for each in versions)
    return f"in MLflow: {f'registered as {registered}' if registered else f'run {record.run.run_id}, not registered'}"
