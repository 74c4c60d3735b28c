"""IU X-Ray (Open-i, Indiana): one XML per report, or R2Gen's `annotation.json`."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from .._shared.errors import DataError
from .pairs import PRESENT, Pair, PairDataset, Split
from .sections import report_text, split_sections
from .sources import find_optional, image_path, natural_key, read_json, read_rows, read_text

_R2GEN_SIDES: dict[str, Split] = {"train": "train", "val": "validation", "test": "test"}


def load_iuxray(root: Path, *, frontal_only: bool = True) -> PairDataset:
    """Films with the report of their study.

    Layout: `ecgen-radiology/<n>.xml` (unpacked from NLMCXR_reports.tgz) and `<image id>.png` in `images/`,
    `NLMCXR_png/` or the folder itself; the optional table `indiana_projections.csv` (uid, filename, projection) tells
    frontal from lateral. Or R2Gen's `annotation.json` with `images/`. A study is one patient: the set names no others.

    Args:
        root: the data set's folder.
        frontal_only: leave out films that the projection table calls lateral.

    Raises:
        DataError: neither layout is there, or a file is damaged.
    """
    annotation = find_optional(root, "annotation.json")
    if annotation is not None:
        return _r2gen(root, annotation)
    folder = root / "ecgen-radiology"
    files = sorted(folder.glob("*.xml"), key=lambda path: natural_key(path.name))
    if not files:
        raise DataError(f"{root.name}: no ecgen-radiology/*.xml and no annotation.json; unpack NLMCXR_reports.tgz")
    images = next((root / n for n in ("images", "NLMCXR_png") if (root / n).is_dir()), root)
    views = _projections(root)
    pairs, excluded = [], {}
    for path in files:
        report = read_report(path)
        if not report.text:
            excluded[path.name] = "neither findings nor impression"
            continue
        for image in report.images:
            view = views.get(image, "")
            file = image_path(images, f"{image}.png")
            if frontal_only and view.lower() == "lateral":
                excluded[image] = "lateral film"
            elif not file.is_file():
                excluded[image] = "no image file"
            else:
                pairs.append(_pair(file, report, image, view))
    return PairDataset("iu-xray", tuple(pairs), (), excluded)


class IndianaReport:
    """One report of the set.

    Attributes:
        uid: the report's id, such as "CXR10".
        sections: section name in lower case to its text, as in the file ("XXXX" stands for removed words).
        mesh: major MeSH terms; ("normal",) for a normal film.
        images: ids of its films.
    """

    def __init__(self, uid: str, sections: dict[str, str], mesh: tuple[str, ...], images: tuple[str, ...]) -> None:
        self.uid, self.sections, self.mesh, self.images = uid, sections, mesh, images

    @property
    def text(self) -> str:
        """Impression and findings, "" where it has neither."""
        return report_text(self.sections)


def read_report(path: Path) -> IndianaReport:
    """Read one XML of the set.

    Raises:
        DataError: no such report, or a document type declaration, which a report needs none of and an attack does.
    """
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError(f"{path.name}: has a document type declaration; expected a plain Open-i report")
    try:
        root = ET.fromstring(text)  # noqa: S314  # entities are refused above
    except ET.ParseError as err:
        raise DataError(f"{path.name}: not readable as XML; expected an Open-i report") from err
    sections = {
        (node.get("Label") or "").lower(): " ".join((node.text or "").split())
        for node in root.iter("AbstractText")
    }
    uid = next((node.get("id") or "" for node in root.iter("uId")), "")
    if root.tag != "eCitation" or not uid:
        raise DataError(f"{path.name}: no eCitation with a uId; expected an Open-i report")
    mesh = tuple(" ".join((n.text or "").split()) for node in root.iter("MeSH") for n in node.findall("major"))
    images = tuple(node.get("id") or "" for node in root.iter("parentImage"))
    kept = {name: body for name, body in sections.items() if name and body}
    return IndianaReport(uid, kept, mesh, tuple(filter(None, images)))


def _pair(file: Path, report: IndianaReport, image: str, view: str) -> Pair:
    labels = {term.split("/")[0]: PRESENT for term in report.mesh if term}
    return Pair(file, report.text, report.sections, image, report.uid, report.uid, labels, view=view)


def _projections(root: Path) -> dict[str, str]:
    path = find_optional(root, "indiana_projections.csv")
    if path is None:
        return {}
    rows = read_rows(path, ["filename", "projection"])
    return {
        Path(row["filename"]).name.removesuffix(".png").removesuffix(".dcm"): row["projection"] for row in rows
    }


def _r2gen(root: Path, path: Path) -> PairDataset:
    content = read_json(path)
    pairs = []
    for key, side in _R2GEN_SIDES.items():
        entries = content.get(key, []) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise DataError(f"{path.name}: {key}: expected a list of studies")
        for count, entry in enumerate(entries):
            try:
                names, report, study = entry["image_path"], str(entry["report"]), str(entry["id"])
                files = [image_path(root / "images", str(name)) for name in names]
            except (KeyError, TypeError) as err:
                raise DataError(f"{path.name}: {key}[{count}]: expected id, report and image_path") from err
            sections = split_sections(report)
            for file in files:
                pairs.append(Pair(file, report, sections, f"{study}/{file.name}", study, study, split=side))
    return PairDataset("iu-xray", tuple(pairs))
