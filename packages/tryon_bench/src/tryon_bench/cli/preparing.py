"""The command that makes a data set. Thin: nothing heavy is imported before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .._shared.cli import DebugOption, JsonOption, QuietOption, command, emit
from .app import FolderOption, PairsOption, SchemeOption, SplitOption, app, height_width, role_folders


@command(
    app,
    "prepare",
    examples=[
        "tryon-bench prepare PHOTOS DATA --parse-scheme atr",
        "tryon-bench prepare PHOTOS DATA --estimate --size 512x384 --workers 2 --resume",
    ],
)
def prepare_command(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="Folder with image/, cloth/, image-parse/, openpose_json/.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder; it becomes a VITON-HD data set.")],
    size: Annotated[str, typer.Option("--size", metavar="HxW", help="Of all results, pixels.")] = "1024x768",
    recipe: Annotated[
        Literal["viton-hd", "hr-viton-v3.2", "cat-dm", "dresscode", "ladi", "ootd", "catvton", "pose"],
        typer.Option("--recipe", help="How the garment is hidden."),
    ] = "hr-viton-v3.2",
    padding: Annotated[
        Literal["edge", "white", "gray"], typer.Option("--padding", help="Around photos of another shape.")
    ] = "edge",
    scheme: SchemeOption = None,
    estimate: Annotated[
        bool,
        typer.Option("--estimate", metavar="", help="MediaPipe's joints and outline where yours are missing."),
    ] = False,
    pose_model: Annotated[
        Literal["lite", "full", "heavy"], typer.Option("--pose-model", help="MediaPipe's network.")
    ] = "full",
    pairs: PairsOption = None,
    split: SplitOption = "test",
    folder: FolderOption = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", min=1, help="Processes; one per core by default.")
    ] = None,
    allow: Annotated[bool, typer.Option("--allow", metavar="", help="Leave out what cannot be prepared.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", metavar="", help="Go on in OUT, which was begun with these settings.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Make a data set in VITON-HD's layout from photos, garments, parses and keypoints; safe to kill."""
    from .._shared.config import load_config
    from ..prepare.run import prepare_dataset
    from ..prepare.settings import Settings

    height, width = height_width(size)
    settings = load_config(
        Settings,
        flags={
            "recipe": recipe, "height_px": height, "width_px": width, "parse_scheme": scheme, "estimate": estimate,
            "pose_model": pose_model, "padding": padding, "split": split,
        },
    )  # fmt: skip
    done = prepare_dataset(
        source, out, settings, folders=role_folders(folder), pairs=pairs, workers=workers, allow=allow,
        resume=resume, quiet=quiet,
    )  # fmt: skip
    lines = [
        f"{done.made} photos and garments prepared, {done.kept} kept, {done.removed} removed, "
        f"{len(done.failed)} left out",
        f"{out}: {done.pairs['paired']} paired and {done.pairs['unpaired']} unpaired rows",
    ]
    lines += [f"left out: {problem}" for problem in done.failed.values()]
    if done.without_parse:
        lines.append(
            f"{done.without_parse} photos have no parse: their masks come from pose and outline, and metrics of the "
            "clothing are undefined in the paired setting"
        )
    if done.without_top:
        lines.append(
            f"{done.without_top} photos show hardly an upper garment between shoulders and hips: is --parse-scheme "
            f"{settings.parse_scheme} right?"
        )
    emit({"out": str(out), **vars(done)}, as_json, "\n".join(lines))
