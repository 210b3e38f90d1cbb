"""Protocols: what is wrong is said in one line; what may change is kept, the rest is refused."""

import json

import pytest

from fgmanifolds.experiments.study import preset_arms
from fgmanifolds.experiments.study.folder import StudyFolder
from fgmanifolds.experiments.study.protocol import Protocol, read_protocol
from fgmanifolds.experiments.study.tasks import rates_of, unit_points
from tests.experiments.study.common import TEXT, small, write_protocol

ARMS = 'arms = ["sgd", "pio4"]'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (ARMS, 'arms = ["sgd", "pio5"]', "arm='pio5' is unknown; allowed: 'sgd'"),
        (ARMS, 'arms = ["sgd"]', r"the contrast \['pio4', 'sgd'\] names arm 'pio4', which is not"),
        (ARMS, "arms = []", r"arms=\[\] must be a list of names"),
        (ARMS, 'arms = ["sgd", "sgd", "pio4"]', "names the same arm twice"),
        (ARMS, "arms = 3", "arms=3 must be a list"),
        ("epochs = 2", "epochs = 0", r"\[budget\]: epochs=0 must be an integer of at least 1"),
        ("epochs = 2", "", r"\[budget\]: epochs is missing"),
        ("epochs = 2", "epoch = 2", "'epoch' is unknown; .* Did you mean 'epochs'"),
        ('name = "cnn"', 'name = "cnm"', r"\[model\]: name='cnm' is unknown; .* 'cnn'"),
        ('name = "digits"', "name = 3", r"\[data\]: "),
        ("validation = 0.2", "validation = 1.5", r"\[data\]: validation=1.5 must be finite"),
        ("validation = 0.2", "train_images = 1", r"\[data\]: train_images=1 must be an integer of"),
        ("best = 2", "best = 4", r"\[search\]: best=4 is more than trials=3"),
        ("seeds = 2", "seeds = 1", r"\[test\]: seeds=1 must be an integer of at least 2"),
        ("seeds = 2", "seeds = 2\nfirst_seed = 1", "are not fresh: the search takes 0 to 1"),
        ("margin = 5.0", "margin = -1", r"\[analysis\]: margin=-1 must be"),
        ('primary = ["pio4", "sgd"]', 'primary = ["sgd", "sgd"]', "must name two arms"),
        ("margin = 5.0", 'margin = 5.0\nsecondary = [["sgd", "pio4"]]', "is the primary one"),
        ("[search]", "[serach]", "key='serach' is unknown; .* Did you mean 'search'"),
        ("[test]\nseeds = 2", "", "test is missing"),
        ("[data]", "[data", "cannot be read"),
    ],
)
def test_bad_protocols_give_one_line(old, new, message, tmp_path):
    path = write_protocol(tmp_path, [(old, new)])
    with pytest.raises(ValueError, match=message) as caught:
        read_protocol(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value).strip()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('extends = "sgdd"', "extends='sgdd' is unknown; .*Did you mean 'sgd'"),
        ('extends = "sgd"\nspeed = 3', "arm 'mine': option='speed' is unknown"),
        ('extends = "sgd"\nlr = [1.0, 0.1]', "arm 'mine': lr=0.1 must be finite and in"),
        ('extends = "sgd"\noptimizer = "sdg"', "optimizer='sdg' is unknown"),
        ('extends = "pio4"\nmanifolds = ["sphere", "torus"]', "manifolds='torus' is unknown"),
        ('optimizer = "sgd"', "arm 'mine': lr is missing"),
        (
            'extends = "sgd"\ngains = true',
            "gains=True needs kernels that stay on POMs: .* not 'sgd'",
        ),
        ('extends = "pio4"\ngains = "yes"', "gains='yes' is unknown"),
        ('extends = "other"', "extends itself: mine -> other -> mine"),
    ],
)
def test_bad_arms_give_one_line(table, message, tmp_path):
    text = TEXT.replace(ARMS, 'arms = ["sgd", "pio4", "mine"]')
    text += f'\n[arm.mine]\n{table}\n\n[arm.other]\nextends = "mine"\n'
    with pytest.raises(ValueError, match=message):
        read_protocol(write_protocol(tmp_path, text=text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"'.*nothing\.toml' cannot be read: No such file"):
        read_protocol(tmp_path / "nothing.toml")


def test_own_arms_extend_those_of_the_package(tmp_path):
    text = TEXT + '\n[arm.pio4]\nextends = "pio4"\nrule = "none"\nlr = 0.02\n'
    arm = read_protocol(write_protocol(tmp_path, text=text)).arm("pio4")
    preset = preset_arms()["pio4"]
    assert (arm.rule, arm.lr) == (None, (0.02, 0.02))
    assert arm.manifolds == preset.manifolds
    assert arm.lr_euclidean == preset.lr_euclidean


def test_all_arms_search_the_same_points_over_three_decades():
    points = unit_points(12)
    assert unit_points(5) == points[:5]
    assert all(0 < value < 1 for point in points for value in point)
    for arm in preset_arms().values():
        low, high = arm.lr
        assert high / low == pytest.approx(1000)
        for trial, point in enumerate(points):
            rates = rates_of(arm, trial)
            assert rates.lr == pytest.approx(low * 1000 ** point[0], rel=1e-5)
            assert arm.lr_euclidean[0] <= rates.lr_euclidean <= arm.lr_euclidean[1]
    # Every axis has a point in each of six equal parts.
    for axis in range(3):
        assert {int(6 * point[axis]) for point in points} == set(range(6))


def test_protocols_survive_json(tmp_path):
    protocol = small(tmp_path)
    assert Protocol.from_dict(json.loads(json.dumps(protocol.to_dict()))) == protocol


def test_a_folder_of_another_protocol_is_refused(tmp_path):
    folder = StudyFolder(tmp_path / "out")
    folder.adopt(small(tmp_path / "a"), "")
    for change, message in (
        (("epochs = 2", "epochs = 3"), r"budget\.epochs is 2 there and 3 here"),
        (("trials = 3", "trials = 4"), r"search\.trials is 3 there and 4 here"),
        (('title = "Small"', 'name = "other"'), "name is 'a' there and 'other' here"),
    ):
        text = TEXT.replace(*change)
        with pytest.raises(ValueError, match=f"is of another protocol: {message}"):
            folder.adopt(read_protocol(write_protocol(tmp_path / "a", text=text)), "")
    text = TEXT + '\n[arm.sgd]\nextends = "sgd"\nmomentum = 0.5\n'
    with pytest.raises(ValueError, match=r"arm\.sgd\.momentum is 0\.9 there and 0\.5 here"):
        folder.adopt(read_protocol(write_protocol(tmp_path / "a", text=text)), "")


def test_amendments_are_kept(tmp_path):
    folder = StudyFolder(tmp_path / "out")
    folder.adopt(small(tmp_path / "a"), "abc")
    assert folder.adopt(small(tmp_path / "a"), "abc") == []
    changed = small(
        tmp_path / "a", (ARMS, 'arms = ["sgd", "pio4", "muon"]'), ("margin = 5.0", "margin = 6.0")
    )
    expected = ["arm 'muon' added", "analysis.margin: 5.0 to 6.0"]
    assert folder.adopt(changed, "def") == expected
    assert folder.adopt(changed, "def") == []
    (entry,) = folder.compare(changed)
    assert (entry["commit"], entry["changes"], entry["tests"]) == ("def", expected, 0)


def test_a_damaged_protocol_of_a_folder_is_named(tmp_path):
    folder = StudyFolder(tmp_path / "out")
    folder.adopt(small(tmp_path / "a"), "")
    (tmp_path / "out" / "protocol.json").write_text('{"protocol": {')
    with pytest.raises(ValueError, match=r"protocol\.json' is damaged"):
        folder.adopt(small(tmp_path / "a"), "")
