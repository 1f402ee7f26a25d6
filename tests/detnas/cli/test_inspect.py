"""`detnas inspect`: the paper's figures in JSON, a table for people, errors that say what to do."""

import json

import pytest

from detnas.cli import main

R18 = "[(64,64)-(64,64)],[(128,128)-(128,128)],[(256,256)-(256,256)],[(512,512)-(512,512)]"


@pytest.fixture
def detnas(monkeypatch, capsys):
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["detnas", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def test_inspect_json_has_the_detectors_flops_as_a_number(detnas):
    code, out, _ = detnas(
        "inspect",
        "--architecture",
        R18,
        "--resolution",
        "1333x800",
        "--classes",
        "80",
        "-o",
        "json",
    )
    record = json.loads(out)
    assert code == 0
    assert record["flops"] == pytest.approx(160.5e9, rel=0.002)
    assert record["flops"] == sum(part["flops"] for part in record["parts"].values())
    assert record["stages"][0] == [[64, 64], [64, 64]]


def test_inspect_shows_the_group_widths_of_a_resnext(detnas):
    text = "[(32, 32, 64)], [(32, 32, 64)], [(32, 32, 64)], [(32, 32, 64)]"
    code, out, _ = detnas("inspect", "--architecture", text, "--family", "ResNeXt", "-o", "json")
    assert code == 0
    assert json.loads(out)["groupWidths"] == [[4], [8], [16], [32]]
    _, out, _ = detnas(
        "inspect", "--architecture", text, "--family", "ResNeXt", "--group-width", "2"
    )
    assert "group widths: 2, 4, 8, 16" in out


@pytest.mark.parametrize(
    ("model", "size", "billions"),
    [
        ("r18", "1333x800", 160.5),
        ("r50", "1333x800", 215.8),
        ("r101", "1333x800", 295.7),
        ("x101-32x4d", "1280x800", 286.9),
        ("x101-32x4d", "1333x800", 299.6),
    ],
)
def test_inspect_of_a_model_prints_the_papers_figure(detnas, model, size, billions):
    name = f"faster-rcnn-{model}-fpn"
    code, out, _ = detnas("inspect", "--model", name, "--resolution", size, "-o", "json")
    assert code == 0
    assert json.loads(out)["flops"] / 1e9 == pytest.approx(billions, rel=0.002)


def test_inspect_table_shows_every_part(detnas):
    code, out, _ = detnas("inspect", "--architecture", R18)
    assert code == 0
    assert all(part in out for part in ("stem", "stage 4", "neck", "rpn", "box head", "160.5"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "either a search's folder, --model or --architecture"),
        (("--architecture", R18, "--model", "faster-rcnn-r18-fpn"), "either a search's folder"),
        (("--architecture", "[(64, 64)"), "position 9"),
        (("--architecture", R18, "--resolution", "big"), "WIDTHxHEIGHT"),
        (("--architecture", R18, "--classes", "0"), "greater than or equal to 1"),
        (("nowhere",), "no such file or folder"),
        ((".",), "holds no search"),
        (("--architecture", "[(" + "9" * 5000 + ", 64)]"), "a width is 1 to 65536"),
    ],
)
def test_inspect_with_bad_input_exits_2(detnas, arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = detnas("inspect", *arguments)
    assert code == 2
    assert said in " ".join(err.replace("│", " ").split())


def test_inspect_counts_the_three_heads_of_a_cascade(detnas):
    flops = {}
    for head in ("Standard", "Cascade"):
        code, out, _ = detnas("inspect", "--architecture", R18, "--head", head, "-o", "json")
        assert code == 0
        flops[head] = {name: part["flops"] for name, part in json.loads(out)["parts"].items()}
    more = {name for name in flops["Cascade"] if flops["Cascade"][name] != flops["Standard"][name]}
    assert len(more) == 1
    (name,) = more
    assert 2.5 < flops["Cascade"][name] / flops["Standard"][name] < 3.5
