"""Every setting of a comparison: methods, budgets and seeds; what is trained on each selection, and how it is judged."""

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from less_core.settings.plain_numbers import plain
from less_core.settings.select import LoraSettings, Method, ModelSettings, SelectSettings, Settings, TargetSettings


class TrainingSettings(Settings):
    """The fine-tuning that is tried on each selection. The model may be another than the one that selects (LESS-T)."""

    model: str = Field("", title="Model", description="Folder or hub name of the model that is trained. Empty: the one that selects.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", title="Precision", description="auto: bfloat16 on a GPU, float32 on a CPU."
    )
    template: Literal["auto", "chat", "tulu"] = Field("auto", title="Chat template")
    kind: Literal["lora", "full"] = Field("lora", title="Kind", description="lora: an adapter. full: all weights, in float32.")
    lora: LoraSettings = Field(LoraSettings(), title="LoRA")
    epochs: int = Field(4, ge=1, le=100, title="Epochs")
    learning_rate: float = Field(2e-5, gt=0, title="Peak learning rate", description="Linear schedule, 3% warm-up steps.")
    batch_size: int = Field(128, ge=1, title="Batch size", description="Examples an optimizer step.")
    micro_batch_size: int = Field(1, ge=1, title="Micro-batch size", description="Examples a forward pass; the rest is accumulated.")
    max_length: int = Field(2048, ge=8, title="Longest example", description="In tokens; the rest is cut off.")


class EvaluationSettings(Settings):
    """How a trained model is judged."""

    held_out: list[TargetSettings] = Field(
        min_length=1, title="Held-out files", description="Examples of each target that selection did not see, under the target's name."
    )
    answers: bool = Field(
        False, title="Answers", description="Of built-in targets, too: the share of right choices (mmlu) or of exactly right answers."
    )
    answer_tokens: int = Field(256, ge=1, title="Longest answer", description="In tokens.")
    lm_eval_tasks: list[str] = Field([], title="Tasks of lm-eval", description="By name; needs the extra `eval`.")
    lm_eval_path: str = Field("", title="Folder of own lm-eval tasks")
    lm_eval_limit: int = Field(0, ge=0, title="Rows of each task", description="0: all.")


class CompareSettings(Settings):
    """Methods side by side on one's own data: select, train, evaluate."""

    select: SelectSettings = Field(title="Selection", description="Pools, targets, model and all else that the methods share.")
    methods: list[Method] = Field(["less", "random", "bm25", "dsir", "rds", "rds+"], min_length=1, title="Methods")
    budgets: list[Annotated[float, Field(gt=0)]] = Field(
        [0.05], min_length=1, title="Budgets", description="Amounts, in the unit of select.selection.by."
    )
    seeds: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(
        [0, 1, 2], min_length=1, title="Seeds", description="Of each training, and of the draw of the methods that draw: random and dsir."
    )
    untrained: bool = Field(True, title="No training", description="Judge the model as it is, too.")
    whole_pool: bool = Field(True, title="Whole pool", description="Train on all of the pool, too.")
    training: TrainingSettings = Field(TrainingSettings(), title="Training")
    evaluation: EvaluationSettings = Field(title="Evaluation")

    @property
    def name(self) -> str:
        return self.select.name

    @property
    def trained(self) -> SelectSettings:
        """The settings by which examples are encoded for the model that is trained, and it is found."""
        training = self.training
        model = ModelSettings(
            path=training.model or self.select.model.path, dtype=training.dtype, template=training.template, lora=training.lora
        )
        features = self.select.features.model_copy(update={"max_length": training.max_length})
        here = self.select.execution.model_copy(update={"runner": "local", "cluster": "", "workers": 0})  # trainings are in this process
        return self.select.model_copy(update={"model": model, "features": features, "execution": here})

    @model_validator(mode="after")
    def _every_target_is_judged(self) -> Self:
        targets, judged = (sorted(t.name for t in of) for of in (self.select.targets, self.evaluation.held_out))
        if targets != judged:
            raise ValueError(f"expected evaluation.held_out with the name of each target, {targets}, got {judged}")
        for what, found in (("methods", self.methods), ("budgets", self.budgets), ("seeds", self.seeds)):
            if len(set(found)) != len(found):
                raise ValueError(f"expected {what} that differ, got {found}")
        return self

    @model_validator(mode="after")
    def _every_selection_holds(self) -> Self:
        for method in self.methods:
            for amount in self.budgets:
                try:
                    self.selection(method, amount, max(self.seeds))
                except ValidationError as error:
                    raise ValueError(f"of `methods` {method} and of `budgets` {amount:g}: {error.errors()[0]['msg']}") from None
        return self

    def selection(self, method: Method, amount: float, seed: int) -> SelectSettings:
        """Return the settings of one selection, under a name of its own."""
        drawn = f"-seed{seed}" if draws(method) else ""
        name = f"{self.name}-{method.replace('+', '-plus')}-{plain(amount)}{drawn}"
        selection = self.select.selection.model_copy(update={"amount": amount})
        # Validated anew: the name is made here.
        data = self.select.model_copy(update={"method": method, "selection": selection, "seed": seed}).model_dump() | {"name": name}
        return SelectSettings.model_validate(data)


def draws(method: Method) -> bool:
    """Tell whether a method draws, so that each seed makes another selection."""
    return method in ("random", "dsir")
