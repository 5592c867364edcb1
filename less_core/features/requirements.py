"""What each method of selection needs: stages, a warmup, features of which sides and of which kind."""

from less_core.errors import ConfigError
from less_core.refs import FeatureKind, Side
from less_core.settings.select import SelectSettings

BOTH: tuple[Side, ...] = ("target", "pool")
RERANK = "exact influence"  # the stage that comes after a shortlist
REPORT = "selection and report"
SIDES: dict[str, tuple[Side, ...]] = {"less": BOTH, "rds": BOTH, "rds+": BOTH, "perplexity": ("pool",)}


def needs_warmup(settings: SelectSettings) -> bool:
    """Tell whether a method takes gradients, at checkpoints."""
    return settings.method == "less"


def stage_names(settings: SelectSettings) -> tuple[str, ...]:
    """Return the names of a run's stages, in order: methods that go by words compute no features."""
    warmup = ["warmup"] if needs_warmup(settings) else []
    features = [f"{side} features" for side in sides_of(settings)]
    rerank = ["shortlist", RERANK] if settings.scoring == "rerank" else []
    return ("check", "prepare", *warmup, *features, *rerank, "influence", REPORT)


def count_available(settings: SelectSettings) -> int:
    """Return how many checkpoints the settings make or name."""
    trained = settings.warmup.epochs if settings.warmup.kind == "train" else 1
    return len(settings.imported.checkpoints) or len(settings.warmup.checkpoints) or trained


def checkpoint_numbers(settings: SelectSettings, available: int) -> list[int]:
    """Return which checkpoints scores are made of, counted from 1: those that the settings name, or all.

    Raises:
        ConfigError: One of them is not among the `available` ones.
    """
    numbers = settings.influence.checkpoints or list(range(1, available + 1))
    if max(numbers) > available:
        do = "The warmup has a checkpoint an epoch; `imported` and warmup.checkpoints name theirs."
        raise ConfigError("influence.checkpoints", f"numbers from 1 to {available}", str(numbers), do)
    return numbers


def sides_of(settings: SelectSettings) -> tuple[Side, ...]:
    """Return the sides whose features a method needs: those that go by words, or by nothing, need none."""
    return SIDES.get(settings.method, ())


def storage_of(settings: SelectSettings, side: Side) -> str:
    """Return how features of a side are stored.

    In less than half floats only projections of pool gradients are: target examples are few, and hidden states have few dimensions.
    """
    many = side == "pool" and settings.method == "less" and not settings.imported.pool
    return settings.features.storage if many or not settings.features.rounded else "float16"


def kind_of(settings: SelectSettings, side: Side) -> FeatureKind:
    """Return the kind of features on a side: of gradients, a target example is always its plain one.

    Perplexity is the loss that a representation is computed with.
    """
    if settings.method == "less":
        return settings.features.gradient if side == "pool" else "sgd"
    return "rds+" if settings.method == "rds+" else "rds"
