from __future__ import annotations

OPTIONS = ["--epochs", 1, "--fractions", "1", "--batch-size", 8]


def test_members_are_compared_on_a_folder_of_images(convoi, photos):
    report = convoi("compare", photos, "--kinds", "local,convolutional", *OPTIONS, "--json").json
    assert [variant["kind"] for variant in report["variants"]] == ["local", "convolutional"]
    assert (report["training_samples"], report["test_samples"]) == (24, 8)
    assert [saving["figure"] for saving in report["savings"]] == ["parameters", "samples"]


def test_the_text_has_a_column_for_each_member_and_the_savings(convoi, photos):
    arguments = ["--kinds", "tiled,local", "--margin", 1, "--tile", 3, "--samples", 20, *OPTIONS]
    lines = convoi("compare", photos, *arguments).out.splitlines()
    assert lines[0].split() == ["tiled", "local"]
    assert any(line.startswith("Memory to train") for line in lines)
    assert "15 training and 5 test samples; 2 steps of 8 samples for each training" in lines


def test_a_ready_network_can_be_the_topology(convoi, photos):
    arguments = ["--network", "two_conv", "--kinds", "convolutional", "--samples", 8, *OPTIONS]
    assert "convolutional" in convoi("compare", photos, *arguments).out


def test_options_that_cannot_be_are_refused(convoi, photos, values):
    assert "none of" in convoi("compare", photos, "--network", "huge").err
    assert "no list of numbers" in convoi("compare", photos, "--fractions", "all").err
    assert "'kinds' parameter" in convoi("compare", photos, "--kinds", "sparse").err
    assert convoi("compare", values).code == 1
