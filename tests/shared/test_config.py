"""Settings come from defaults, a file, --set and flags; everything wrong is said at once."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError, model_validator

from quartet_shared.config import FrozenModel, completed, flatten, load_config, read_toml, to_toml
from quartet_shared.errors import ConfigError


class Optim(FrozenModel):
    lr: float = Field(0.1, gt=0)
    steps: int = Field(10, ge=1)


class Config(FrozenModel):
    name: str = "run"
    root: Path | None = None
    mode: Literal["cpu", "cuda"] = "cpu"
    classes: dict[int, str] | None = None
    sizes: tuple[int, ...] = (3, 5)
    flip: bool = False
    optim: Optim = Optim()
    extra: Optim | None = None


class Required(FrozenModel):
    root: Path


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_given_means_defaults() -> None:
    assert load_config(Config) == Config()


def test_later_sources_win(tmp_path: Path) -> None:
    path = write(tmp_path, "name = 'file'\nflip = true\n[optim]\nlr = 0.2\nsteps = 2\n")
    config = load_config(Config, path, ["optim.lr=0.3", "name=set"], {"name": "flag", "optim.steps": None})
    assert (config.flip, config.optim.steps, config.optim.lr, config.name) == (True, 2, 0.3, "flag")


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("optim.lr=1e-3", "optim", Optim(lr=1e-3)),
        ("optim={lr=0.5, steps=4}", "optim", Optim(lr=0.5, steps=4)),
        ("flip=true", "flip", True),
        ("sizes=[7, 9]", "sizes", (7, 9)),
        ("name=a=b", "name", "a=b"),
        ("name=", "name", ""),
        ('name="3"', "name", "3"),
        ("name=2024-01-02", "name", "2024-01-02"),
        ("name=x\nflip=true", "name", "x\nflip=true"),
        ("name='x'\nflip=true", "name", "'x'\nflip=true"),
        ("root=/a b/ü", "root", Path("/a b/ü")),
        ('classes={1="liver"}', "classes", {1: "liver"}),
    ],
)
def test_set_takes_toml_values_and_otherwise_text(text: str, field: str, value: object) -> None:
    config = load_config(Config, sets=[text])
    assert getattr(config, field) == value
    assert config == Config(**{field: value})


def test_all_errors_come_in_one_line() -> None:
    sets = ["optim.lr=-1", "optim.setps=3", "mode=gpu", "flip=maybe", "noequals", "name=a", "name=b"]
    with pytest.raises(ConfigError) as caught:
        load_config(Config, sets=sets)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "optim.lr: Input should be greater than 0 (got -1)",
        "optim.setps: unknown key, did you mean 'optim.steps'?",
        "mode: Input should be 'cpu' or 'cuda' (got 'gpu')",
        "flip: Input should be a valid boolean",
        "--set expects KEY=VALUE, got 'noequals'",
        "name: given twice by --set",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr=1", "lr: unknown key, did you mean 'optim.lr'?"),
        ("nmae=1", "nmae: unknown key, did you mean 'name'?"),
        ("zzz=1", "zzz: unknown key; known here: classes, extra, flip, mode, name, optim, root, sizes"),
        ("extra.zzz=1", "extra.zzz: unknown key; known here: lr, steps"),
        ("__class__.x=1", "__class__: unknown key"),
        ("optim.__class__=1", "optim.__class__: unknown key"),
        ("optim.lr.x=1", "optim.lr: Input should be a valid number"),
        ("optim=3", "optim: Input should be a valid dictionary"),
        ("optim.lr=nan", "optim.lr: Input should be a finite number (got nan)"),
        ("optim.lr=1e999", "optim.lr: Input should be a finite number (got inf)"),
        ("optim.steps=1.5", "optim.steps: Input should be a valid integer"),
        ("optim.steps=0", "optim.steps: Input should be greater than or equal to 1 (got 0)"),
        ("optim..lr=1", "--set expects KEY=VALUE"),
        ("=1", "--set expects KEY=VALUE"),
        ("name=[" + "1, " * 100 + "]", "name: Input should be a valid string (got [1, 1, 1, 1, 1, 1, ...])"),
        ("flip=" + "[" * 5000, "flip: Input should be a valid boolean"),
        ("flip=" + "9" * 5000, "flip: Input should be a valid boolean"),
        ("optim.lr." + ".".join("a" * 5000) + "=1", "optim.lr: Input should be a valid number"),
    ],
)
def test_a_wrong_set_says_what_is_expected(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(Config, sets=[text])
    assert message in str(caught.value)
    assert len(str(caught.value)) < 250


def test_a_table_and_a_key_in_it_set_together_are_a_duplicate() -> None:
    with pytest.raises(ConfigError, match="optim: given twice"):
        load_config(Config, sets=["optim.lr=1", "optim={steps=2}"])


def test_a_missing_required_setting_names_the_flag() -> None:
    with pytest.raises(ConfigError, match=r"root: a value is required, for example --set root=\.\.\."):
        load_config(Required)


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), max_size=4))
def test_any_set_gives_settings_or_one_line(sets: list[str]) -> None:
    try:
        load_config(Config, sets=sets)
    except ConfigError as err:
        assert str(err).startswith("config: ")  # noqa: PT017


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_file_gives_tables_or_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    try:
        assert isinstance(read_toml(path), dict)
    except ConfigError as err:
        assert "'any.toml' is not TOML" in str(err)  # noqa: PT017


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'none.toml' cannot be read: No such file"):
        load_config(Config, tmp_path / "none.toml")


def test_a_folder_as_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(Config, tmp_path)


def test_settings_are_read_only() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().name = "x"


configs = st.builds(
    Config,
    name=st.text(),
    root=st.none() | st.builds(Path, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))),
    mode=st.sampled_from(["cpu", "cuda"]),
    classes=st.none() | st.dictionaries(st.integers(), st.text()),
    sizes=st.lists(st.integers()).map(tuple),
    flip=st.booleans(),
    optim=st.builds(Optim, lr=st.floats(min_value=1e-300, allow_infinity=False), steps=st.integers(1)),
    extra=st.none() | st.builds(Optim),
)


@settings(deadline=None)
@given(configs)
def test_written_settings_are_read_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, config: Config
) -> None:
    path = tmp_path_factory.getbasetemp() / "round.toml"
    path.write_bytes(to_toml(config).encode())
    assert load_config(Config, path) == config


def test_a_none_that_toml_cannot_say_is_refused() -> None:
    class Clip(FrozenModel):
        norm: float | None = 1.0

    with pytest.raises(ConfigError, match="a None stands where the default is a value"):
        to_toml(Clip(norm=None))


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be written as TOML"):
        to_toml(Config(root=Path("/data/\udcff")))


def test_nested_tables_become_dotted_keys() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": [2]}, "e": {}}) == {"a.b.c": 1, "a.d": [2]}


def test_the_file_lies_over_the_base_table_by_table(tmp_path: Path) -> None:
    base = {"optim": {"lr": 0.1, "steps": 7}}
    config = load_config(Config, write(tmp_path, "[optim]\nlr = 0.5\n"), base=base)
    assert (config.optim.lr, config.optim.steps) == (0.5, 7)
    assert load_config(Config, None, ["optim.steps=9"], base=base).optim.steps == 9
    assert base == {"optim": {"lr": 0.1, "steps": 7}}


class Stage(FrozenModel):
    rate: float = 0.1
    steps: int = 5
    clip: float | None = None


class TwoStages(FrozenModel):
    first: Stage = Stage(rate=0.5, clip=1.0)

    @model_validator(mode="before")
    @classmethod
    def _in_part(cls, values):
        return completed(values, {"first": cls.model_fields["first"].default})


def test_a_table_given_in_part_keeps_the_rest_of_its_fields_default():
    settings = load_config(TwoStages, sets=["first.steps=9"])
    assert settings.first == Stage(rate=0.5, clip=1.0, steps=9)
    assert load_config(TwoStages).first == Stage(rate=0.5, clip=1.0)
    with pytest.raises(ConfigError, match="first"):
        load_config(TwoStages, sets=["first=3"])
