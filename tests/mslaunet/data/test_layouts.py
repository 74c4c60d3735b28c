"""Every layout as people have it: recognised, opened, read, and refused with what is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mslaunet._shared.errors import ConfigError, DataError
from mslaunet._shared.io.images import read_mask, write_png
from mslaunet.config import Config
from mslaunet.data.dataset import Case, Dataset, open_dataset
from mslaunet.data.labels import LABEL_MAPS
from mslaunet.data.layouts import LAYOUTS
from mslaunet.data.loading import LoadedCase, load_case
from mslaunet.synth import FORMATS, disc_labels, write_synthetic
from mslaunet.synth.arrays import write_h5, write_npz

LABELS = disc_labels(64)


def load(dataset: Dataset, case: Case) -> LoadedCase:
    return load_case(
        case,
        num_channels=len(dataset.channels),
        num_classes=len(dataset.classes),
        mask_values=dataset.mask_values,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A synthetic data set of a layout, written once."""
    root = tmp_path_factory.mktemp("layouts")

    def make(layout: str) -> Path:
        if not (root / layout).exists():
            write_synthetic(layout, root / layout, cases=6, slices=4)
        return root / layout

    return make


@pytest.fixture
def own(made: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy that a test may change."""
    return lambda layout: shutil.copytree(made(layout), tmp_path / layout)


@pytest.mark.parametrize("layout", FORMATS)
def test_every_layout_is_recognised_and_every_case_is_read(made: Callable[[str], Path], layout: str) -> None:
    dataset = open_dataset(made(layout))
    assert dataset.layout == layout.removesuffix("-original")
    for case in (*dataset.training, *dataset.testing):
        loaded = load(dataset, case)
        assert loaded.mask is not None
        assert loaded.mask.max() > 0
        assert loaded.mask.shape == loaded.image.shape[1:]


@pytest.mark.parametrize("layout", ["nnunet", "synapse", "btcv", "dicom", "acdc", "acdc-raw"])
def test_the_known_answer_holds_whatever_the_layout(made: Callable[[str], Path], layout: str) -> None:
    """class = round(9 x intensity), so image and mask lie on each other and intensities are what they were."""
    dataset = open_dataset(made(layout))
    loaded = load(dataset, dataset.training[0])
    unit = loaded.image[0] / 800 if layout.startswith("acdc") else (loaded.image[0] + 125) / 400
    disc = np.rint(9 * unit).astype(int)
    if layout == "btcv":
        numbers = {
            ours: theirs for theirs, ours in LABEL_MAPS["btcv-to-transunet"].ids.items() if ours or not theirs
        }
        disc = np.vectorize(numbers.get)(disc)
    assert np.mean(loaded.mask == disc) > 0.99  # the noise reaches over half a step in 0.5 % of the pixels


def test_the_table_of_layouts_is_what_the_setting_allows() -> None:
    from typing import get_args

    from mslaunet.cli.data import SYNTH_FORMATS
    from mslaunet.data.dataset import Layout

    assert set(get_args(Layout)) == {"auto", *LAYOUTS}
    assert set(SYNTH_FORMATS) == set(FORMATS)


@pytest.mark.parametrize("layout", FORMATS)
def test_training_takes_every_layout_with_the_same_settings(
    made: Callable[[str], Path], layout: str, tmp_path: Path
) -> None:
    from mslaunet.train import prepare_training

    root = made(layout)
    config = Config(data={"root": root, "side_px": 64, "block_slices": 2, "validation_fraction": 0.34})
    data = prepare_training(open_dataset(root), config, tmp_path / "cache", quiet=True)
    assert data.split.train
    assert data.split.validation


# Synapse


def test_slices_of_a_scan_are_one_case_and_the_lists_decide(made: Callable[[str], Path]) -> None:
    dataset = open_dataset(made("synapse"))
    assert [case.case_id for case in dataset.training] == ["case0001", "case0002", "case0003", "case0004"]
    assert [case.case_id for case in dataset.testing] == ["case0005", "case0006"]
    assert len(dataset.training[0].images) == 4
    loaded = load(dataset, dataset.training[0])
    np.testing.assert_array_equal(loaded.mask, np.repeat(LABELS[None], 4, axis=0))
    assert -125 <= loaded.image.min() <= loaded.image.max() <= 275  # HU again, as real CT


def test_intensities_equal_the_official_ones_after_the_window(made: Callable[[str], Path]) -> None:
    from mslaunet.data.arrays import read_array_pair
    from mslaunet.preprocess import plan_preprocessing

    dataset = open_dataset(made("synapse"))
    plan = plan_preprocessing(dataset, Config(data={"root": dataset.root}).data)
    stored = read_array_pair(dataset.training[0].images[0])[0]
    assert stored is not None
    ours = plan.normalise(load(dataset, dataset.training[0]).image)[0, 0]
    np.testing.assert_allclose(ours, (stored - 0.5) / 0.5, atol=1e-5)


def test_lists_may_have_windows_line_ends_and_no_last_newline(own: Callable[[str], Path]) -> None:
    root = own("synapse")
    names = (root / "lists/lists_Synapse/train.txt").read_text().split()
    (root / "lists/lists_Synapse/train.txt").write_bytes("\r\n".join(names).encode())
    assert len(open_dataset(root).training) == 4


def test_a_listed_slice_that_is_not_there_is_named(own: Callable[[str], Path]) -> None:
    root = own("synapse")
    (root / "train_npz/case0002_slice001.npz").unlink()
    with pytest.raises(DataError, match=r"case0002_slice001\.npz: listed in train\.txt, and not there"):
        open_dataset(root)


def test_a_listed_volume_that_is_not_there_is_named(own: Callable[[str], Path]) -> None:
    root = own("synapse")
    (root / "test_vol_h5/case0006.npy.h5").unlink()
    with pytest.raises(DataError, match=r"case0006\.npy\.h5: listed in test_vol\.txt, and not there"):
        open_dataset(root)


def test_slices_are_put_in_the_order_of_their_numbers(own: Callable[[str], Path]) -> None:
    root = own("synapse")
    shutil.rmtree(root / "lists")
    for z in (4, 10, 11):
        label = np.full((64, 64), 5.0)
        write_npz(root / "train_npz" / f"case0001_slice{z:03d}.npz", image=np.full((64, 64), z / 100), label=label)
    dataset = open_dataset(root)
    assert load(dataset, dataset.training[0]).image[0, 4:, 0, 0] == pytest.approx([-109, -85, -81], abs=1e-3)


def test_files_of_13_organs_need_their_map_by_name(own: Callable[[str], Path]) -> None:
    root = own("synapse")
    label = np.zeros((64, 64))
    label[:30], label[30:40], label[40:44], label[44:48], label[48:50] = 6, 1, 8, 11, 13
    for path in (root / "train_npz").glob("case0001_*"):
        write_npz(path, image=np.full((64, 64), 0.5), label=label)
    with pytest.raises(DataError, match=r"label ids up to 13, the map transunet knows 0..8; choose another"):
        open_dataset(root)
    dataset = open_dataset(root, label_map="cascade")
    mask = load(dataset, dataset.training[0]).mask
    assert mask is not None
    assert {dataset.classes[int(v)] for v in np.unique(mask)} == {
        "background",
        "liver",
        "spleen",
        "aorta",
        "pancreas",
    }


def test_a_wrong_map_is_found_by_the_size_of_the_liver(own: Callable[[str], Path]) -> None:
    root = own("synapse")
    label = np.zeros((64, 64))
    label[:30], label[30:40], label[40:44], label[44:46] = 5, 8, 7, 1  # liver, stomach, spleen, aorta of TransUNet
    for path in (root / "train_npz").glob("case0001_*"):
        write_npz(path, image=np.full((64, 64), 0.5), label=label)
    assert open_dataset(root).classes[5] == "liver"
    with pytest.raises(DataError, match="larger than the liver"):
        open_dataset(root, label_map="cascade")


def test_ct_that_was_not_scaled_is_refused(own: Callable[[str], Path]) -> None:
    root = own("synapse")
    write_h5(root / "test_vol_h5/case0005.npy.h5", image=np.full((4, 64, 64), 300.0), label=np.zeros((4, 64, 64)))
    dataset = open_dataset(root)
    with pytest.raises(DataError, match=r"intensities from 300 to 300; expected CT that was clipped"):
        load(dataset, dataset.testing[0])


# BTCV


@pytest.mark.parametrize("place", ["", "RawData"])
def test_btcv_is_found_where_people_unpack_it(own: Callable[[str], Path], tmp_path: Path, place: str) -> None:
    root = own("btcv")
    if place:
        (tmp_path / "up").mkdir()
        shutil.move(root, tmp_path / "up" / place)
        root = tmp_path / "up"
    else:
        root = root / "Training"
    dataset = open_dataset(root)
    assert dataset.training[0].case_id == "case0001"


def test_btcv_can_be_read_as_the_eight_organs_of_synapse(made: Callable[[str], Path]) -> None:
    dataset = open_dataset(made("btcv"), label_map="btcv-to-transunet")
    mask = load(dataset, dataset.training[0]).mask
    assert mask is not None
    assert dict(dataset.classes) == dict(LABEL_MAPS["transunet"].classes)
    assert sorted(np.unique(mask)) == list(range(9))


def test_btcv_scan_without_labels_is_named(own: Callable[[str], Path]) -> None:
    root = own("btcv")
    (root / "Training/label/label0003.nii.gz").unlink()
    with pytest.raises(DataError, match=r"img/img0003\.nii\.gz: no label/label0003\.nii\.gz"):
        open_dataset(root)


# ACDC


def test_two_frames_of_a_patient_are_two_cases_of_one_group(made: Callable[[str], Path]) -> None:
    for layout in ("acdc", "acdc-raw"):
        training = open_dataset(made(layout)).training
        assert len(training) == 2 * len({case.patient_id for case in training})


def test_the_validation_part_of_prepared_acdc_is_its_fold(made: Callable[[str], Path]) -> None:
    fold = open_dataset(made("acdc")).folds[0]
    assert fold.val == ("case_005_sliceED", "case_005_sliceES")
    assert len(fold.train) == 8


def test_acdc_volumes_may_lie_in_the_folder_itself_and_be_h5_with_other_keys(own: Callable[[str], Path]) -> None:
    root = own("acdc")
    for path in (root / "test").iterdir():
        path.rename(root / path.name)
    (root / "test").rmdir()
    shutil.rmtree(root / "lists_ACDC")
    write_h5(root / "case_009_volume_ED.npy.h5", image=np.ones((2, 8, 8)), label=np.ones((2, 8, 8)))
    dataset = open_dataset(root)
    assert [case.case_id for case in dataset.testing][-1] == "case_009_volume_ED"
    assert load(dataset, dataset.testing[-1]).image.shape == (1, 2, 8, 8)


def test_slices_of_different_size_in_one_frame_are_refused(own: Callable[[str], Path]) -> None:
    root = own("acdc")
    write_npz(root / "train/case_001_sliceED_2.npz", img=np.ones((8, 8)), label=np.ones((8, 8)))
    dataset = open_dataset(root)
    with pytest.raises(DataError, match=r"case_001_sliceED_2\.npz: a slice of shape \(8, 8\)"):
        load(dataset, dataset.training[0])


def test_raw_acdc_checks_info_and_masks(own: Callable[[str], Path]) -> None:
    root = own("acdc-raw")
    info = root / "training/patient001/Info.cfg"
    info.write_text("ED: 1\nES: 9\n")
    with pytest.raises(DataError, match=r"patient001/Info\.cfg: names frame 9"):
        open_dataset(root)
    info.write_text("ED: one\n")
    with pytest.raises(DataError, match=r"Info\.cfg: not readable"):
        open_dataset(root)
    info.unlink()
    (root / "training/patient001/patient001_frame12_gt.nii.gz").unlink()
    with pytest.raises(
        DataError, match=r"patient001_frame12_gt\.nii\.gz: the mask of a training frame is missing"
    ):
        open_dataset(root)


def test_the_film_of_a_raw_acdc_patient_is_left_alone(own: Callable[[str], Path]) -> None:
    root = own("acdc-raw")
    (root / "training/patient001/patient001_4d.nii.gz").write_bytes(b"a film")
    assert len(open_dataset(root).training) == 8


# CVC-ClinicDB


def test_both_forms_of_clinicdb_group_by_video(made: Callable[[str], Path]) -> None:
    for layout, count in (("clinicdb", 2), ("clinicdb-original", 3)):
        dataset = open_dataset(made(layout))
        assert len({case.patient_id for case in dataset.training}) == count
    assert [case.case_id for case in open_dataset(made("clinicdb")).testing] == ["6"]


def test_t9_a_list_that_parts_videos_is_refused_unless_allowed(own: Callable[[str], Path]) -> None:
    root = own("clinicdb")
    table = (root / "test_train_data.csv").read_text().replace("1.png,train", "1.png,test")
    (root / "test_train_data.csv").write_text(table)
    with pytest.raises(DataError, match=r"1 patients or sequences are on both sides of training and testing"):
        open_dataset(root)
    dataset = open_dataset(root, overlap="allow")  # what the official recipe asks for by data.group = case
    assert {case.case_id for case in dataset.testing} == {"1", "6"}


def test_clinicdb_without_sequences_says_so(own: Callable[[str], Path]) -> None:
    root = own("clinicdb")
    (root / "metadata.csv").unlink()
    assert "frames of one video will fall on both sides" in open_dataset(root).warnings[0]


@pytest.mark.parametrize(
    ("table", "content", "message"),
    [
        ("metadata.csv", "frame_id,sequence_id\n1,1\n", r"5 of 6 frames have no sequence, the first: 2"),
        ("metadata.csv", "name,sequence_id\n1,1\n", "which row is which frame"),
        ("test_train_data.csv", "image_id,category\n1.png,train\n", "5 images are not listed"),
        (
            "test_train_data.csv",
            "image_id,category\n1.png,validation\n",
            "expected the name of an image and train",
        ),
        ("test_train_data.csv", "image_id,category\n99.png,train\n", "expected the name of an image and train"),
    ],
)
def test_tables_that_do_not_fit_the_frames_are_refused(
    own: Callable[[str], Path], table: str, content: str, message: str
) -> None:
    root = own("clinicdb")
    (root / table).write_text(content)
    with pytest.raises(DataError, match=rf"{table}: .*{message}"):
        open_dataset(root)


def test_t11_masks_of_any_kind_become_binary_and_soft_pixels_are_counted(made: Callable[[str], Path]) -> None:
    dataset = open_dataset(made("clinicdb"))
    loaded = [load(dataset, case) for case in dataset.training[:3]]
    for one in loaded:
        assert one.mask is not None
        assert set(np.unique(one.mask)) == {0, 1}
    assert [one.ambiguous_pixels > 0 for one in loaded] == [False, True, False]


# ISIC-2018, Kvasir


def test_isic_masks_are_found_by_their_suffix_and_superpixels_are_no_images(made: Callable[[str], Path]) -> None:
    dataset = open_dataset(made("isic2018"))
    assert len(dataset.training) == 6
    assert all(case.mask is not None and case.mask.stem.endswith("_segmentation") for case in dataset.training)
    assert dataset.folds[0].val == ("ISIC_0000005",)


def test_isic_image_without_mask_is_named(own: Callable[[str], Path]) -> None:
    root = own("isic2018")
    (root / "ISIC2018_Task1_Training_GroundTruth/ISIC_0000002_segmentation.png").unlink()
    with pytest.raises(DataError, match=r"ISIC_0000002\.jpg: no ISIC_0000002_segmentation\.png"):
        open_dataset(root)


def test_jpeg_masks_are_thresholded(made: Callable[[str], Path]) -> None:
    root = made("kvasir")
    assert len(np.unique(read_mask(root / "masks/cju03.jpg", binary=False).array)) > 2
    dataset = open_dataset(root)
    mask = load(dataset, dataset.training[3]).mask
    assert mask is not None
    assert set(np.unique(mask)) == {0, 1}


# DICOM, nuclei, MR


def test_dicom_series_and_nifti_mask_lie_on_one_grid(made: Callable[[str], Path]) -> None:
    dataset = open_dataset(made("dicom"))
    loaded = load(dataset, dataset.training[0])
    assert loaded.spacing_mm == pytest.approx((5.0, 0.7, 0.8))  # not the thickness of 8 mm
    assert dataset.channels == ("CT",)


def test_dicom_folder_problems_are_named(own: Callable[[str], Path]) -> None:
    root = own("dicom")
    (root / "masks/disc_05.nii.gz").rename(root / "masks/other.nii.gz")
    with pytest.raises(DataError, match=r"masks/other\.nii\.gz: no folder of that name"):
        open_dataset(root)
    (root / "masks/other.nii.gz").unlink()
    assert [case.case_id for case in open_dataset(root).testing] == ["disc_05"]
    for path in (root / "images/disc_01").iterdir():
        shutil.copy(path, root / "images/disc_00" / f"b{path.name}")
    with pytest.raises(DataError, match="disc_00: 2 series of 4, 4 images; expected one"):
        open_dataset(root)


def test_every_instance_of_a_nuclei_tile_is_foreground(made: Callable[[str], Path]) -> None:
    dataset = open_dataset(made("nuclei"))
    assert [case.case_id for case in dataset.training] == ["tile_00", "tile_01", "tile_10", "tile_11"]
    mask = load(dataset, dataset.training[3]).mask
    whole = read_mask(made("nuclei") / "mask2d.tif", binary=False).array
    np.testing.assert_array_equal(mask, whole[None, 128:, 128:] > 0)


@pytest.mark.assets
def test_real_nuclei_are_sixteen_tiles_drawn_by_people(asset: Callable[[str], Path]) -> None:
    dataset = open_dataset(asset("stardist"))
    assert (len(dataset.training), dataset.labels) == (16, "human")
    share = np.mean([load(dataset, case).mask for case in dataset.training])
    assert share == pytest.approx(0.1992, abs=1e-4)


@pytest.mark.assets
def test_real_abdominal_mr_has_its_organs_where_they_belong(asset: Callable[[str], Path]) -> None:
    dataset = open_dataset(asset("totalsegmentator"), "totalsegmentator-mr")
    loaded = load(dataset, dataset.training[0])
    assert loaded.mask is not None
    volumes = {dataset.classes[i]: int((loaded.mask == i).sum()) * 27 / 1000 for i in range(1, 8)}
    assert volumes["liver"] == pytest.approx(499, abs=1)
    assert max(volumes, key=lambda name: volumes[name]) == "liver"
    x = {name: np.nonzero(loaded.mask == i)[2].mean() for i, name in dataset.classes.items()}
    assert x["right kidney"] > x["left kidney"]
    assert dataset.labels == "silver"


@pytest.mark.assets
def test_real_dicom_series_with_the_mask_of_a_tool(asset: Callable[[str], Path], tmp_path: Path) -> None:
    files = asset("totalsegmentator") / "tests/reference_files"
    shutil.copytree(files / "example_ct_dicom", tmp_path / "images/ct")
    (tmp_path / "masks").mkdir()
    shutil.copy(files / "example_seg_dicom.nii.gz", tmp_path / "masks/ct.nii.gz")
    dataset = open_dataset(tmp_path)
    liver = next(label for label, name in dataset.classes.items() if name == "label_5")  # ids have gaps
    loaded = load(dataset, dataset.training[0])
    assert loaded.mask is not None
    assert 0 < loaded.image[0][loaded.mask == liver].mean() < 150


# All of them


@pytest.mark.parametrize("layout", FORMATS)
def test_cases_travel_to_other_processes(made: Callable[[str], Path], layout: str) -> None:
    import pickle

    dataset = open_dataset(made(layout))
    assert pickle.loads(pickle.dumps(dataset)) == dataset


def test_options_are_refused_where_they_mean_nothing(made: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match=r"data\.label_map cascade is for synapse and btcv; nnunet"):
        open_dataset(made("nnunet"), label_map="cascade")
    with pytest.raises(ConfigError, match=r"data\.classes is for plain folders; synapse"):
        open_dataset(made("synapse"), classes={0: "background", 1: "x"})
    with pytest.raises(ConfigError, match="layout 'zip' is unknown; choose one of nnunet"):
        open_dataset(made("nnunet"), layout="zip")  # type: ignore[arg-type]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_empty_folder_is_no_data_set_of_any_layout(tmp_path: Path, layout: str) -> None:
    with pytest.raises(DataError):
        open_dataset(tmp_path, layout)  # type: ignore[arg-type]


def test_t14_the_order_of_a_directory_decides_nothing(made: Callable[[str], Path], tmp_path: Path) -> None:
    """The official script splits in the order of os.listdir, which differs between machines."""
    from mslaunet.data.splits import split_dataset

    names = sorted(p.name for p in (made("folders") / "images").iterdir())
    for number, order in enumerate((names, names[::-1])):
        for name in order:
            for part in ("images", "masks"):
                target = tmp_path / str(number) / part / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(made("folders") / part / name, target)
    first, second = (split_dataset(open_dataset(tmp_path / str(i)), folds=3, seed=0) for i in (0, 1))
    assert first == second


def test_a_mask_larger_than_its_map_is_refused(own: Callable[[str], Path]) -> None:
    root = own("nuclei")
    write_png(root / "x.png", np.zeros((2, 2), np.uint8))  # other files do not matter
    assert len(open_dataset(root).training) == 4
