"""The Typer application that the commands register with."""

from __future__ import annotations

from .._shared.assets_cli import assets_app
from .._shared.cli import make_app

app = make_app(
    "breastmri", "Breast DCE-MRI classification and localisation with CMSL and COAM (arXiv 1906.02999)."
)
app.add_typer(assets_app("breastmri"), name="assets")
