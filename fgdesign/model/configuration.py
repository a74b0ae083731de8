"""What transformers reads of a saved function graph before anything else: cheap to load, enough for its tokeniser."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from fgdesign.model.stored import MODEL_TYPE, PROBLEMS


class FunctionGraphConfig(PreTrainedConfig):
    """graph: its JSON form. backbone: the facts of the encoder. task: single, multi or regression.

    lexical: per word function, the sizes of its fitted tensors.
    """

    model_type = MODEL_TYPE

    def __init__(self, graph: dict[str, Any] | None = None, backbone: dict[str, Any] | None = None,
                 task: str = "single", lexical: dict[str, dict[str, int]] | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("problem_type", PROBLEMS[task])
        super().__init__(**kwargs)
        self.graph, self.backbone, self.task = graph or {}, backbone or {}, task
        self.lexical = lexical or {}


AutoConfig.register(MODEL_TYPE, FunctionGraphConfig, exist_ok=True)
