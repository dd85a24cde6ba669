"""The section ``compress``: a training that begins with the network of a finished run, made smaller."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from mobilenet_chest.config.section import Name, Section


class CompressConfig(Section):
    """What is made smaller, and by how much; stage 2 then fine-tunes what is left."""

    method: Literal["none", "prune", "unstructured"] = Field(
        "none",
        description="prune: whole channels are removed, which makes the network faster; unstructured: single weights "
        "become 0, which makes only the zipped file smaller.",
    )
    parent: Name | None = Field(
        None, description="The run, or the study, whose network is made smaller; same `model` and rows as here."
    )
    ratio: float = Field(
        0.3, gt=0, lt=1, description="Share that goes: of each layer's channels, or of each layer's weights."
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
            raise ValueError(f"parent {self.parent} with method: none does nothing; give method: prune or unstructured")
        return self

    @property
    def active(self) -> bool:
        """Whether the training begins with a finished run's network."""
        return self.method != "none"
