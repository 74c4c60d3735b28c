from __future__ import annotations

from pathlib import Path

import pytest

from mslaunet._shared.config import load_config
from mslaunet._shared.errors import ConfigError
from mslaunet.config import CompatConfig, Config
from mslaunet.recipes import read_recipe, recipe_names

DATA_SETS = ("synapse", "acdc", "clinicdb", "isic")


def _config(name: str, **flags: object) -> Config:
    return load_config(Config, None, (), {"data.root": "set", **flags}, base=read_recipe(name))


@pytest.mark.parametrize("data_set", DATA_SETS)
@pytest.mark.parametrize("kind", ["official", "sound"])
def test_every_data_set_has_both_recipes_and_they_are_valid(data_set: str, kind: str) -> None:
    config = _config(f"{data_set}-{kind}")
    assert config.model.preset == ("official" if kind == "official" else "corrected")
    assert config.model.variant == "base"


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.endswith("-sound")])
def test_sound_recipes_switch_on_no_defect(name: str) -> None:
    config = _config(name)
    assert config.compat == CompatConfig()
    assert config.data.group == "patient"
    assert config.data.split != "none"
    assert config.train.ema_decay is not None
    assert config.train.monitor == "dice"


def test_every_switch_is_on_in_some_official_recipe() -> None:
    on = {
        name
        for recipe in recipe_names()
        for name, value in _config(recipe).compat.model_dump().items()
        if value not in (False, None)
    }
    assert on == set(CompatConfig.model_fields)


def test_the_official_synapse_recipe_has_the_official_numbers() -> None:
    config = _config("synapse-official")
    train = config.train
    assert (train.epochs, train.batch_size, train.lr, train.seed) == (400, 24, 0.05, 1234)
    assert (train.optimizer, train.schedule, train.schedule_lag, train.decay_vectors) == ("sgd", "poly", 1, True)
    assert (config.loss.cross_entropy, config.loss.dice, config.loss.squared) == (0.4, 0.6, True)
    assert (config.data.resize_px, config.data.split) == (224, "none")


def test_community_recipes_say_that_they_are_not_the_authors() -> None:
    """T14."""
    import mslaunet.recipes as recipes

    folder = Path(recipes.__file__).parent
    for name in ("acdc-official", "isic-official"):
        assert "NOT THE AUTHORS'" in (folder / f"{name}.toml").read_text()


def test_flags_win_over_a_recipe() -> None:
    assert _config("synapse-official", **{"train.epochs": 3}).train.epochs == 3


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"recipe 'synapse' is unknown; choose one of acdc-official, .*synapse-sound"
    ):
        read_recipe("synapse")
