"""DICOM series and films: places in space, order, defects, codecs, damage, privacy."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate

from quartet_shared.errors import ConfigError, DataError
from quartet_shared.io.dicom import find_series, read_film, read_series
from quartet_shared.io.dicom_write import synthetic_uid, write_dicom
from quartet_shared.io.volumes import read_volume, write_volume

AXIAL = (1.0, 0, 0, 0, 1, 0)
ORIGIN = np.array([-123.456789, 45.678901, -987.654321])


def oblique() -> tuple[float, ...]:
    """Row and column direction of a stack turned about two axes."""
    a, b = np.deg2rad([20, -35])
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn = turn @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return (*turn[:, 0], *turn[:, 1])


def stack(
    folder: Path,
    *,
    slices: int = 5,
    orientation: Sequence[float] = AXIAL,
    step_mm: float = 2.5,
    uid: str = "series",
    **options: Any,
) -> list[Path]:
    """A series whose voxel (column, row, slice) holds 100 slice + 10 row + column; thickness and order are traps."""
    normal = np.cross(orientation[:3], orientation[3:])
    rows, columns = np.indices((4, 6))
    paths = []
    for k in range(slices):
        path = folder / f"{(k * 7) % 11:03d}.dcm"  # the order of names is not that of places
        write_dicom(
            path,
            (100 * k + 10 * rows + columns).astype(np.int16),
            modality="MR",
            series_uid=synthetic_uid(uid),
            study_uid=synthetic_uid("study"),
            instance_number=slices - k,
            position_mm=ORIGIN + normal * step_mm * k,
            orientation=orientation,
            spacing_mm=(0.7, 0.8),
            elements={"SliceThickness": 3.0},
            **options,
        )
        paths.append(path)
    return paths


def edit(path: Path, **elements: Any) -> Path:
    data = pydicom.dcmread(path)
    for keyword, value in elements.items():
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
    data.save_as(path)
    return path


def world_by_formula(orientation: Sequence[float], column: int, row: int, k: int, step_mm: float) -> NDArray[Any]:
    """Equation C.7.6.2.1-1 of the standard, turned to RAS."""
    across, down = np.array(orientation[:3]), np.array(orientation[3:])
    lps = ORIGIN + np.cross(across, down) * step_mm * k + across * 0.8 * column + down * 0.7 * row
    return lps * [-1, -1, 1]


@pytest.mark.parametrize("orientation", [AXIAL, (0, 1, 0, 0, 0, -1), (-1, 0, 0, 0, 0, 1), oblique()])
def test_every_voxel_lies_where_the_standard_says(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    stack(tmp_path, orientation=orientation)
    volume = read_series(find_series(tmp_path)[0])
    for index in np.ndindex(volume.array.shape):
        value = int(volume.array[index])
        place = (volume.affine @ [*index, 1])[:3]
        expected = world_by_formula(orientation, value % 10, value // 10 % 10, value // 100, 2.5)
        np.testing.assert_allclose(place, expected, atol=1e-5)
    assert (np.diag(volume.affine)[:3] > 0).all() or orientation == oblique()


@pytest.mark.parametrize("orientation", [AXIAL, (0, 1, 0, 0, 0, -1), oblique()])
def test_world_coordinates_are_those_of_simpleitk(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    stack(tmp_path, orientation=orientation)
    volume = read_series(find_series(tmp_path)[0])
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    for index in np.ndindex(volume.array.shape):
        ras = (volume.affine @ [*index, 1])[:3]
        found = image.TransformPhysicalPointToContinuousIndex((ras * [-1, -1, 1]).tolist())
        np.testing.assert_allclose(found, np.rint(found), atol=1e-4)
        assert image[[round(v) for v in found]] == volume.array[index]


def test_slices_are_spaced_by_their_positions_not_by_their_thickness(tmp_path: Path) -> None:
    stack(tmp_path, step_mm=2.0)
    assert read_series(find_series(tmp_path)[0]).spacing_mm == pytest.approx((0.8, 0.7, 2.0), abs=1e-9)


def test_rescale_of_each_slice_is_applied(tmp_path: Path) -> None:
    paths = stack(tmp_path, slices=2, slope=2.0, intercept=-1024.0)
    edit(paths[1], RescaleSlope=4.0)
    volume = read_series(paths)
    assert volume.array.dtype == np.float32
    assert volume.array.min() == -1024
    assert volume.array.max() == 135 * 4 - 1024


def test_a_mask_of_the_series_written_as_nifti_lies_on_it(tmp_path: Path) -> None:
    stack(tmp_path / "in", orientation=oblique())
    volume = read_series(find_series(tmp_path / "in")[0])
    write_volume(tmp_path / "out.nii.gz", volume.array, volume, dtype=np.int16)
    again = read_volume(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(again.array, volume.array)
    np.testing.assert_allclose(again.affine, volume.affine, atol=1e-3)


def test_series_are_grouped_by_uid_and_other_files_are_passed_over(tmp_path: Path) -> None:
    stack(tmp_path / "mixed", uid="one")
    for path in stack(tmp_path / "other", uid="two", slices=3):
        path.rename(tmp_path / "mixed" / f"b{path.name}")
    (tmp_path / "mixed" / "notes.txt").write_text("not an image")
    (tmp_path / "mixed" / "scan.nii").write_bytes(bytes(500))
    assert [len(s.slices) for s in find_series(tmp_path)] == [5, 3]


def test_headers_carry_what_a_dynamic_series_needs(tmp_path: Path) -> None:
    times = {
        "AcquisitionTime": "101530.25",
        "ContentTime": "1016",
        "TriggerTime": 1500.0,
        "TemporalPositionIdentifier": 2,
        "AcquisitionNumber": 3,
        "SeriesDescription": "T1 dynamic",
        "ContrastBolusStartTime": "101500",
        "EchoTime": 1.5,
    }
    for path in stack(tmp_path, slices=2):
        edit(path, **times)
    series = find_series(tmp_path)[0]
    first = series.slices[0]
    assert (first.acquisition_s, first.content_s, first.trigger_ms) == (36930.25, 36960.0, 1500.0)
    assert (first.temporal_position, first.acquisition_number, first.contrast_s) == (2, 3, 36900.0)
    assert (first.echo_ms, first.rows, first.columns, first.spacing_mm) == (1.5, 4, 6, (0.7, 0.8))
    assert (series.description, series.modality, series.number) == ("T1 dynamic", "MR", 1)


def test_time_of_acquisition_may_stand_in_one_element_with_its_date(tmp_path: Path) -> None:
    path = edit(stack(tmp_path, slices=1)[0], AcquisitionDateTime="20260101101530.5+0100")
    assert find_series(tmp_path)[0].slices[0].acquisition_s == 36930.5
    assert "2026" not in repr(find_series(tmp_path)[0].slices[0]).replace(str(path), "")


def test_no_identifier_of_the_patient_is_kept(tmp_path: Path) -> None:
    for path in stack(tmp_path, slices=3):
        edit(
            path, PatientName="DOE^JANE", PatientID="MRN-77", PatientBirthDate="19700101", InstitutionName="Clinic"
        )
    series = find_series(tmp_path)
    shown = repr(series) + repr(series[0].slices) + repr(read_series(series[0]))
    assert not re.search("DOE|JANE|MRN|1970|Clinic", shown)


def test_part_of_a_series_can_be_read(tmp_path: Path) -> None:
    stack(tmp_path, slices=4)
    for path in stack(tmp_path / "late", slices=4):
        edit(path, TemporalPositionIdentifier=2).rename(tmp_path / f"late_{path.name}")
    series = find_series(tmp_path)[0]
    with pytest.raises(DataError, match=r"lies where .* lies, as 4 slices do.*pass one time point"):
        read_series(series)
    late = [item for item in series.slices if item.temporal_position == 2]
    assert read_series(late).array.shape == (6, 4, 4)


def test_a_single_slice_takes_its_depth_from_its_thickness(tmp_path: Path) -> None:
    paths = stack(tmp_path, slices=1)
    assert read_series(paths).spacing_mm == pytest.approx((0.8, 0.7, 3.0))
    with pytest.raises(DataError, match="single slice without SliceThickness"):
        read_series([edit(paths[0], SliceThickness=None)])


def test_rounded_positions_are_no_gap(tmp_path: Path) -> None:
    paths = stack(tmp_path, step_mm=1.0)
    for path in paths:
        position = pydicom.dcmread(path).ImagePositionPatient
        edit(path, ImagePositionPatient=[round(float(v), 2) for v in position])
    assert read_series(paths).spacing_mm[2] == pytest.approx(1.0, abs=0.005)


def _drop(paths: list[Path]) -> list[Path]:
    return [path for i, path in enumerate(paths) if i != 2]


def _copy(paths: list[Path]) -> list[Path]:
    twin = paths[2].with_name("twin.dcm")
    twin.write_bytes(paths[2].read_bytes())
    return [*paths, twin]


def _tilt(paths: list[Path]) -> list[Path]:
    return [edit(p, ImagePositionPatient=[0, 0.5 * k, 2.5 * k]) for k, p in enumerate(paths)]


def _aside(paths: list[Path]) -> list[Path]:
    return [*paths[:2], edit(paths[2], ImagePositionPatient=[*(ORIGIN[:2] + 4), ORIGIN[2] + 5.0]), *paths[3:]]


def _with(**elements: Any) -> Callable[[list[Path]], list[Path]]:
    return lambda paths: [*paths[:2], edit(paths[2], **elements), *paths[3:]]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop, "5 mm to the next slice where 2.5 mm are usual; slices are missing"),
        (_copy, "expected one slice per place, remove copies"),
        (_tilt, "tilted gantry"),
        (_aside, "off a straight stack"),
        (_with(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), "lies in another direction"),
        (_with(PixelSpacing=[0.7, 0.9]), "pixels have another size"),
        (_with(PixelSpacing=[0.7]), "PixelSpacing has 1 values; expected 2"),
        (_with(ImagePositionPatient=None), "has no ImagePositionPatient"),
        (_with(Rows=2, Columns=12), "12 x 2 pixels, .* has 6 x 4"),
        (_with(NumberOfFrames=3), "holds 3 frames"),
        (_with(PhotometricInterpretation="RGB", SamplesPerPixel=3), "RGB pixels; expected a grey image"),
        (_with(RescaleSlope="1e37", RescaleIntercept="0"), "no finite values"),
        (_with(Rows=60000, Columns=60000), "60000 x 60000"),
    ],
)
def test_what_is_not_one_regular_stack_is_refused(
    tmp_path: Path, damage: Callable[[list[Path]], list[Path]], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_series(damage(stack(tmp_path)))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "not two perpendicular unit vectors"),
        ({"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]}, "not two perpendicular unit vectors"),
        ({"PixelSpacing": [0, 1]}, "expected positive numbers"),
    ],
)
def test_unusable_geometry_is_refused(tmp_path: Path, elements: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_series([edit(path, **elements) for path in stack(tmp_path)])


def test_limits_apply_before_anything_is_decoded(tmp_path: Path) -> None:
    paths = stack(tmp_path)
    with pytest.raises(DataError, match="5 slices of 6 x 4 pixels are more than the limit of 119"):
        read_series(paths, max_voxels=119)
    with pytest.raises(DataError, match="expected at most 10 values"):
        read_film(paths[0], max_pixels=10)


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(DataError, match="no DICOM image"):
        find_series(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        find_series(tmp_path / "absent")
    with pytest.raises(DataError, match=r"notes\.txt: not a DICOM"):
        read_series([tmp_path / "notes.txt"])
    with pytest.raises(DataError, match="no slices"):
        read_series([])


@pytest.mark.parametrize("cut", [133, 150, 300, 500, -1, -40])
def test_truncated_files_are_a_data_error(tmp_path: Path, cut: int) -> None:
    path = stack(tmp_path, slices=1)[0]
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"^000\.dcm: "):
        read_series([path])


def test_codestream_larger_than_its_header_says_is_refused_before_decoding(tmp_path: Path) -> None:
    data = pydicom.dcmread(get_testdata_file("JPEG2000.dcm"))
    frame = bytearray(next(pydicom.encaps.generate_frames(data.PixelData, number_of_frames=1)))
    start = frame.find(b"\xff\x4f\xff\x51")
    frame[start + 8 : start + 16] = np.array([60000, 60000], ">u4").tobytes()
    data.PixelData = encapsulate([bytes(frame)])
    data.save_as(tmp_path / "bomb.dcm")
    tracemalloc.start()
    try:
        with pytest.raises(
            DataError, match=r"bomb\.dcm: the header says 256 x 1024 pixels, its image 60000 x 60000"
        ):
            read_film(tmp_path / "bomb.dcm")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


CODECS = [
    "MR_small.dcm",  # uncompressed
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_jp2klossless.dcm",
]


@pytest.mark.parametrize("name", CODECS)
def test_lossless_codecs_give_the_uncompressed_pixels(name: str) -> None:
    plain = read_film(Path(get_testdata_file("MR_small.dcm", download=False)))
    path = get_testdata_file(name, download=False)
    assert path is not None
    np.testing.assert_array_equal(read_film(Path(path)).array, plain.array)


@pytest.mark.parametrize(
    "name", ["JPEG-lossy.dcm", "JPEG2000.dcm", "JPGExtended.dcm", "image_dfl.dcm", "CT_small.dcm"]
)
def test_other_codecs_agree_with_gdcm_of_simpleitk(name: str) -> None:
    path = Path(get_testdata_file(name, download=False) or "")
    film = read_film(path)
    stored = pydicom.dcmread(path)
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0].astype(float)
    theirs = (theirs - float(stored.get("RescaleIntercept", 0))) / float(stored.get("RescaleSlope", 1))
    low = -(2 ** (stored.BitsStored - 1)) if stored.PixelRepresentation else 0
    ours = film.array.astype(float) + low
    if stored.PhotometricInterpretation == "MONOCHROME1":
        ours = film.max_value - film.array.astype(float) + low
    assert np.abs(ours - theirs).max() <= 1  # lossy codecs may round differently


def film(path: Path, pixels: NDArray[Any], **elements: Any) -> Path:
    write_dicom(path, pixels, modality="CR", series_uid="1.2.3", study_uid="1.2", elements=elements)
    return path


def test_film_keeps_every_stored_value(tmp_path: Path) -> None:
    pixels = np.array([[0, 1, 4095], [7, 8, 9]], np.uint16)
    image = read_film(film(tmp_path / "a.dcm", pixels, BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(image.array, pixels)
    assert (image.array.dtype, image.max_value) == (np.uint16, 4095)
    eight = read_film(film(tmp_path / "b.dcm", np.array([[0, 255, 3]], np.uint8)))
    assert (eight.array.dtype, eight.array.tolist(), eight.max_value) == (np.uint8, [[0, 255, 3]], 255)


def test_monochrome1_is_inverted_and_signed_values_start_at_zero(tmp_path: Path) -> None:
    pixels = np.array([[0, 1, 4095]], np.uint16)
    inverted = film(tmp_path / "a.dcm", pixels, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    assert read_film(inverted).array.tolist() == [[4095, 4094, 0]]
    signed = film(tmp_path / "b.dcm", np.array([[-2048, 0, 2047]], np.int16), BitsStored=12, HighBit=11)
    assert read_film(signed).array.tolist() == [[0, 2048, 4095]]


def test_display_window_is_applied_only_on_request(tmp_path: Path) -> None:
    pixels = np.array([[0, 1000, 2000, 4095]], np.uint16)
    path = film(tmp_path / "a.dcm", pixels, BitsStored=12, HighBit=11, WindowCenter=1500, WindowWidth=1000)
    assert read_film(path).array.tolist() == pixels.tolist()
    shown = read_film(path, voi=True).array[0]
    assert tuple(shown[[0, 1, 3]]) == (0, 0, 4095)  # 1000 is the window's lower end
    assert shown[2] == 4095


def test_display_window_of_a_rescaled_film_is_in_rescaled_values(tmp_path: Path) -> None:
    pixels = np.array([[0, 1024, 2048, 4095]], np.uint16)
    path = tmp_path / "a.dcm"
    write_dicom(
        path,
        pixels,
        modality="CR",
        series_uid="1.2.3",
        study_uid="1.2",
        intercept=-1024,
        elements={"BitsStored": 12, "HighBit": 11, "WindowCenter": 512.5, "WindowWidth": 1025},
    )
    assert read_film(path, voi=True).array.tolist() == [[0, 0, 4095, 4095]]
    assert read_film(path).array.tolist() == pixels.tolist()


def test_colour_and_cine_are_no_films() -> None:
    colour = Path(get_testdata_file("SC_rgb_gdcm_KY.dcm", download=False) or "")
    with pytest.raises(DataError, match="expected a grey image"):
        read_film(colour)
    cine = Path(get_testdata_file("rtdose.dcm", download=False) or "")
    with pytest.raises(DataError, match="holds 15 frames; expected one"):
        read_film(cine)
    with pytest.raises(DataError, match="holds no pixels"):
        read_film(Path(get_testdata_file("rtplan.dcm", download=False) or ""))


@pytest.mark.assets
def test_real_ct_of_compressed_slices_is_that_of_simpleitk(asset: Callable[[str], Path]) -> None:
    folder = asset("totalsegmentator") / "tests/reference_files/example_ct_dicom"
    volume = read_series(find_series(folder)[0])
    assert volume.spacing_mm == (0.9765625, 0.9765625, 2.0)  # not the thickness of 3 mm
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image).transpose(2, 1, 0)[::-1, ::-1])
    np.testing.assert_allclose(
        (volume.affine @ [511, 511, 0, 1])[:3] * [-1, -1, 1], image.GetOrigin(), rtol=0, atol=1e-5
    )


@pytest.mark.assets
def test_real_ct_lies_on_the_mask_that_belongs_to_it(asset: Callable[[str], Path]) -> None:
    from quartet_shared.io.volumes import read_labels, require_same_grid

    files = asset("totalsegmentator") / "tests/reference_files"
    volume = read_series(find_series(files / "example_ct_dicom")[0])
    mask = read_labels(files / "example_seg_dicom.nii.gz")
    require_same_grid(volume, mask)
    assert 0 < volume.array[mask.array == 5].mean() < 150  # HU of the liver


@pytest.mark.assets
def test_real_chest_film_is_upright_in_brightness(asset: Callable[[str], Path]) -> None:
    store = asset("pydicom-data") / "data_store/data"
    image = read_film(store / "RG1_UNCR.dcm")
    assert (image.array.shape, image.max_value) == ((1955, 1841), 32767)
    edge, centre = image.array[:20].mean(), image.array[800:1400, 700:1100].mean()
    assert centre > edge  # the mediastinum is brighter than the air beside the patient
    np.testing.assert_array_equal(read_film(store / "RG1_J2KR.dcm").array, image.array)


def test_writer_refuses_what_it_cannot_store(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="uint8, uint16 or int16"):
        film(tmp_path / "a.dcm", np.zeros((2, 2)))
    with pytest.raises(ConfigError, match="Nonsense is no DICOM keyword"):
        film(tmp_path / "a.dcm", np.zeros((2, 2), np.uint8), Nonsense=1)


def test_writer_gives_equal_bytes_for_equal_arguments(tmp_path: Path) -> None:
    first, second = stack(tmp_path / "a", slices=1)[0], stack(tmp_path / "b", slices=1)[0]
    assert first.read_bytes() == second.read_bytes()


def test_an_element_that_claims_gigabytes_costs_no_memory(tmp_path: Path) -> None:
    path = stack(tmp_path, slices=1)[0]
    content = bytearray(path.read_bytes())
    at = content.index(b"\xe0\x7f\x10\x00OW\x00\x00") + 8
    content[at : at + 4] = b"\xf0\xff\xff\xfe"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        assert read_series([path]).array.shape == (6, 4, 1)  # its pixels are whole
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_a_deflated_bomb_is_refused_before_it_is_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from quartet_shared.io import dicom_file

    monkeypatch.setattr(dicom_file, "_MAX_INFLATED", 1000)
    with pytest.raises(DataError, match=r"image_dfl\.dcm: inflates to more than 1000 bytes"):
        read_film(Path(get_testdata_file("image_dfl.dcm", download=False) or ""))


def test_a_file_that_only_begins_like_dicom_is_passed_over(tmp_path: Path) -> None:
    stack(tmp_path, slices=2)
    (tmp_path / "table.bin").write_bytes(b"\x08\x00\x05\x00" + bytes(range(256)) * 3)
    (tmp_path / "short.bin").write_bytes(b"\x08\x00")
    assert [len(series.slices) for series in find_series(tmp_path)] == [2]


def test_a_file_without_preamble_is_read_and_a_damaged_one_with_it_is_not_passed_over(tmp_path: Path) -> None:
    paths = stack(tmp_path, slices=3)
    paths[0].write_bytes(paths[0].read_bytes()[132:])
    volume = read_series(find_series(tmp_path)[0])
    assert volume.array[-1, -1].tolist() == [0, 100, 200]
    for cut in (140, 200, 400, 600):
        paths[1].write_bytes(paths[2].read_bytes()[:cut])
        with pytest.raises(DataError, match=r"007\.dcm: "):
            find_series(tmp_path)


def test_reports_plans_and_directories_among_the_images_are_passed_over(tmp_path: Path) -> None:
    stack(tmp_path, slices=2)
    for name in ("test-SR.dcm", "rtplan.dcm", "dicomdirtests/DICOMDIR"):
        (tmp_path / Path(name).name).write_bytes(Path(get_testdata_file(name, download=False) or "").read_bytes())
    assert [len(series.slices) for series in find_series(tmp_path)] == [2]


@pytest.mark.parametrize("name", [*CODECS[3:], "JPEG2000.dcm", "JPGExtended.dcm", "image_dfl.dcm"])
def test_mutated_compressed_files_give_pixels_or_one_line(tmp_path: Path, name: str) -> None:
    whole = Path(get_testdata_file(name, download=False) or "").read_bytes()
    rng = np.random.default_rng(7)
    path, refused = tmp_path / name, []
    for number in range(60):
        content = bytearray(whole)
        for _ in range(1 + number % 3):
            at = int(rng.integers(200, len(content)))
            content[at] = int(rng.integers(256))
        path.write_bytes(content if number % 4 else content[: int(rng.integers(200, len(content)))])
        try:
            assert read_film(path).array.size > 0
        except DataError as err:
            refused.append(str(err))
    assert len(refused) > 5
    assert [text for text in refused if "\n" in text or not text.startswith(f"{name}: ")] == []
