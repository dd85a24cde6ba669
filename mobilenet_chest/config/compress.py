"""The section ``compress``: a training that begins with the network of a finished run, made smaller."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from mobilenet_chest.config.section import Name, Section

RATIO = 0.3
"""Share that goes where neither ``ratio`` nor ``target`` is given."""


class TargetConfig(Section):
    """What a pruned network may cost; the share of channels that goes is found when the run begins."""

    flops: float | None = Field(
        None, gt=0, lt=1, description="Floating point operations of one image, as a share of the parent's; at most."
    )
    latency_ms: float | None = Field(
        None,
        gt=0,
        description="Milliseconds of an answer for one image with its mirror image, by ONNX Runtime on one thread, on "
        "the machine that begins the run; at most.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.flops is not None and self.latency_ms is not None:
            raise ValueError(f"flops {self.flops:g} and latency_ms {self.latency_ms:g} are two targets; leave one out")
        return self

    @property
    def given(self) -> bool:
        """Whether there is a target."""
        return self.flops is not None or self.latency_ms is not None

    def __str__(self) -> str:
        """Return it in words: ``flops 0.5``."""
        return f"flops {self.flops:g}" if self.flops is not None else f"latency_ms {self.latency_ms:g}"


class CompressConfig(Section):
    """What is made smaller, and by how much; stage 2 then fine-tunes what is left."""

    method: Literal["none", "prune", "unstructured", "int8-qat"] = Field(
        "none",
        description="prune: whole channels are removed, which makes the network faster; unstructured: single weights "
        "become 0, which makes only the zipped file smaller; int8-qat: the network learns with 8-bit weights and "
        "activations.",
    )
    parent: Name | None = Field(
        None, description="The run, or the study, whose network is made smaller; same `model` and rows as here."
    )
    ratio: float | None = Field(
        None,
        gt=0,
        lt=1,
        description=f"Share that goes: of each layer's channels, or of each layer's weights. {RATIO} when neither it "
        "nor a target is given.",
    )
    target: TargetConfig = TargetConfig()
    reached: float | None = Field(
        None, gt=0, description="What `ratio` costs, in the unit of `target`; filled in when the run begins."
    )
    weights_sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="Of the parent's weights; filled in when the run begins, and checked when it is resumed.",
    )

    @model_validator(mode="after")
    def _parent_and_method(self) -> Self:
        if self.active and self.parent is None:
            raise ValueError(f"method {self.method} needs a finished run to make smaller; give compress.parent: RUN_ID")
        if not self.active and self.parent is not None:
            raise ValueError(f"parent {self.parent} with method: none does nothing; give method: prune, "
                             "unstructured or int8-qat")  # fmt: skip
        if self.quantizes and self.ratio is not None:
            raise ValueError(f"ratio {self.ratio:g}: method int8-qat removes nothing; leave it out, or give method: "
                             "prune (in a search: when: {compress.method: prune})")  # fmt: skip
        if not self.target.given:
            if self.reached is not None:
                raise ValueError(f"reached {self.reached:g} belongs to a target, and there is none; leave it out")
            return self
        if self.method != "prune":
            raise ValueError(f"target {self.target} is for method prune, not {self.method}; leave the target out")
        # both are filled in together, when the run begins
        if self.ratio is not None and self.reached is None:
            raise ValueError(f"ratio {self.ratio:g} and target {self.target}: give one of them, the other is found")
        return self

    @property
    def active(self) -> bool:
        """Whether the training begins with a finished run's network."""
        return self.method != "none"

    @property
    def share(self) -> float:
        """Share of channels or weights that goes; with a target, once it is found."""
        return RATIO if self.ratio is None else self.ratio

    @property
    def quantizes(self) -> bool:
        """Whether the network learns with 8-bit numbers."""
        return self.method == "int8-qat"
