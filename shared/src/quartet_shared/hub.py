"""`save_pretrained`, `from_pretrained` and `push_to_hub` for our networks: safetensors only, strict, with a card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from huggingface_hub import ModelCard, ModelCardData, ModelHubMixin, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from .errors import CheckpointError
from .files import atomic_path, atomic_write, require_writable_dir

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


class PretrainedModel(ModelHubMixin):
    """Mixin for an `nn.Module` whose `config` is the JSON-able dict that rebuilds it: `cls(**model.config)`.

    A network that is rebuilt from something else says so in `hub_config` and `from_hub_config`. Weights are read from
    safetensors alone and must fit the network exactly, name by name: there is no partial load. A saved folder holds
    `model.safetensors`, `config.json` and a generated `README.md`.

    Class arguments are those of `huggingface_hub.ModelHubMixin`: `library_name`, `tags`, `repo_url`, `paper_url`.
    """

    config: Any

    def hub_config(self) -> dict[str, Any]:
        """What `config.json` holds: all that rebuilds the network."""
        kept: dict[str, Any] = self.config
        return kept

    @classmethod
    def from_hub_config(cls, config: dict[str, Any]) -> Self:
        """The network of a `config.json`, its weights still to be loaded."""
        return cls(**config)

    def card_settings(self) -> dict[str, Any]:
        """The settings that the card lists."""
        return self.hub_config()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> Self:
        """Load from a saved folder, or from a repository of the Hugging Face hub.

        Args:
            pretrained_model_name_or_path: folder, or `owner/name` of a repository.
            options: `revision`, `token`, `cache_dir`, `local_files_only`, `force_download`.

        Raises:
            CheckpointError: nothing there, no connection, or weights that do not fit exactly.
        """
        name = str(pretrained_model_name_or_path)
        if not (Path(name).is_dir() or _may_be_repository(name)):
            raise CheckpointError(f"{Path(name).name}: no such folder, and no owner/name of a repository")
        try:
            return super().from_pretrained(name, **options)
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as err:
            raise CheckpointError(
                f"{name}: cannot be loaded from the hub ({type(err).__name__}); check the name and the connection, "
                "or give a folder of save_pretrained"
            ) from err

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **_init: Any,
    ) -> Self:
        def file(name: str) -> Path:
            if Path(model_id).is_dir():
                return Path(model_id) / name
            return Path(
                hf_hub_download(
                    model_id,
                    name,
                    revision=revision,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    token=token,
                )
            )

        return read_pretrained(cls, file(CONFIG), file(WEIGHTS), Path(model_id).name)

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """Write weights, settings and a card into a folder; an existing card is kept.

        Args:
            save_directory: the folder.
            options: `model_card_kwargs={"summary": ...}`; `push_to_hub` and `repo_id`.

        Raises:
            ResourceError: the folder cannot be written.
        """
        require_writable_dir(Path(save_directory))
        return super().save_pretrained(save_directory, **options)

    def _save_pretrained(self, save_directory: Path) -> None:
        write_pretrained(self, save_directory)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The card: what the network is, how to load it, and that nothing is claimed about its use.

        Args:
            args: not used.
            kwargs: `summary`, a paragraph of your own about data, metrics and licence of these weights.
        """
        info = self._hub_mixin_info
        data = ModelCardData(library_name=info.model_card_data.library_name, tags=info.model_card_data.tags)
        return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{self._card_text(kwargs.get('summary'))}")

    def _card_text(self, summary: str | None) -> str:
        kind = type(self).__name__
        package = self._hub_mixin_info.model_card_data.library_name
        parameters: Any = getattr(self, "parameters", tuple)()
        settings = "\n".join(f"| `{name}` | `{value}` |" for name, value in self.card_settings().items())
        return "\n".join(
            [
                f"# {kind}",
                "",
                summary or "Whoever published these weights gave no description of data, metrics or licence.",
                "",
                "```python",
                f"from {package} import {kind}",
                "",
                f'model = {kind}.from_pretrained("owner/name")',
                "```",
                "",
                f"{sum(p.numel() for p in parameters):,} parameters. Research software: not a medical device, no "
                "claim about any use.",
                "",
                "| setting | value |",
                "|---|---|",
                settings,
                "",
            ]
        )


def write_pretrained(model: Any, directory: Path) -> None:
    """Write weights and configuration of a network, each file atomically.

    Raises:
        ResourceError: the folder cannot be written.
    """
    require_writable_dir(directory)
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    with atomic_path(directory / WEIGHTS) as scratch:
        save_file(tensors, scratch, metadata={"format": "pt"})
    atomic_write(directory / CONFIG, json.dumps(model.hub_config(), indent=2, sort_keys=True) + "\n")


def read_pretrained(kind: Any, config_path: Path, weights_path: Path, name: str) -> Any:
    """Rebuild a network from its configuration and load weights that fit exactly; they keep their dtype.

    Raises:
        CheckpointError: a file is missing or damaged, the settings are unknown, or the weights do not fit.
        ConfigError: the settings are known and impossible.
    """
    config = _read_config(config_path, name)
    try:
        tensors = load_file(weights_path)
    except (OSError, SafetensorError) as err:
        reason = "missing" if not weights_path.exists() else "damaged"
        raise CheckpointError(f"{name}/{WEIGHTS}: {reason}; weights are read from safetensors only") from err
    try:
        model = kind.from_hub_config(config)
    except TypeError as err:
        raise CheckpointError(f"{name}/{CONFIG}: not settings of {kind.__name__}: {err}") from err
    _require_same(model.state_dict(), tensors, name)
    for tensor in tensors.values():
        if tensor.is_floating_point():
            model.to(tensor.dtype)
            break
    model.load_state_dict(tensors, strict=True)
    return model.eval()


def _read_config(path: Path, name: str) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise CheckpointError(
            f"{name}/{CONFIG}: missing or damaged; expected a folder of save_pretrained"
        ) from err
    if not isinstance(config, dict):
        raise CheckpointError(f"{name}/{CONFIG}: expected a JSON object")
    return config


def _require_same(own: Mapping[str, Any], given: Mapping[str, Any], name: str) -> None:
    missing, unexpected = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    shapes = [key for key in own.keys() & given.keys() if own[key].shape != given[key].shape]
    found = [
        f"{len(keys)} {what} ({', '.join(keys[:3])})"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", sorted(shapes)))
        if keys
    ]
    if found:
        raise CheckpointError(f"{name}/{WEIGHTS}: does not fit its {CONFIG}: {'; '.join(found)}")


def _may_be_repository(name: str) -> bool:
    owner, slash, rest = name.partition("/")
    return bool(owner and slash and rest) and "/" not in rest and not name.startswith(".")
