"""The table of runs on the Train page: found again, marked, compared, cloned, deleted and brought back."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from test_pages import ROOT, make_run, show, words

from fgdesign.errors import RunError
from fgdesign.graph import load_graph
from fgdesign.runs.compare import alike, differences
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.store import Store, open_store
from fgdesign.training.settings import Settings
from fgdesign.ui import header, library, parts, runs_desk, state


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty workspace."""
    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path))
    st.cache_resource.clear()
    yield tmp_path
    st.cache_resource.clear()


def trained(home: Path, name: str, **settings: Any) -> RunFolder:
    """A finished run with settings, on a sample."""
    run = make_run(home, name)
    file = str(library.samples()[1].path.resolve())
    told = Settings(**settings).as_dict()
    run.write("config.json", run.config() | {"data": {"train": file, "label": "label"}, "settings": told})
    return run


def test_marks_are_kept_and_found_by(home: Path) -> None:
    trained(home, "20260101-one")
    trained(home, "20260102-two")
    store = open_store()
    store.jobs()
    store.tag("20260102-two", ["good"])
    store.note("20260102-two", "the long one")
    store.star("20260102-two")
    page = show("train")
    table = page.dataframe[-1].value
    assert table["run"].tolist() == ["20260102-two", "20260101-one"] or set(table["run"]) == {"20260102-two",
                                                                                           "20260101-one"}
    for key, value in (("runs_search", "long"), ("runs_search", "good")):
        page.text_input(key=key).set_value(value).run()
        assert page.dataframe[-1].value["run"].tolist() == ["20260102-two"]
    page.text_input(key="runs_search").set_value("").run()
    page.toggle(key="runs_starred").set_value(True).run()
    assert page.dataframe[-1].value["star"].tolist() == ["★"]
    page.text_input(key="runs_search").set_value("nothing like it").run()
    assert "No run fits" in words(page) and not page.exception


def chosen(*names: str) -> Any:
    page = show("train")
    page.session_state[runs_desk.CHOSEN] = list(names)
    return page.run()


def test_a_run_is_starred_tagged_noted_deleted_and_brought_back(home: Path) -> None:
    trained(home, "20260101-one")
    page = chosen("20260101-one")
    page.button(key="star_run").click().run()
    page.text_input(key="tags_20260101-one").set_value("a, b,a").run()
    page.text_input(key="note_20260101-one").set_value("<b>mine</b>").run()
    job = open_store().job("20260101-one")
    assert job.starred and job.tags == ("a", "b") and job.note == "<b>mine</b>"
    assert page.text_input(key="tags_20260101-one").value == "a, b"
    open_store().tag("20260101-one", ["by another browser"])
    assert page.run().text_input(key="tags_20260101-one").value == "by another browser"
    page.button(key="delete_run").click().run()
    assert not open_store().jobs() and "Deleted: 20260101-one." in words(page)
    page = show("train")  # loaded anew
    page.button(key="undo_delete").click().run()
    assert [one.name for one in open_store().jobs()] == ["20260101-one"] and not page.exception
    assert "undo_delete" not in {button.key for button in page.button}


def test_a_field_that_nothing_new_was_stored_for_is_left_as_it_is_typed() -> None:
    def page() -> None:
        import streamlit as st

        from fgdesign.ui import parts

        parts.show_stored("note", st.session_state.get("stored", "one"))
        st.text_input("Note", key="note")

    app = AppTest.from_function(page).run()
    assert app.text_input[0].proto.set_value and app.text_input[0].value == "one"
    assert not app.run().text_input[0].proto.set_value  # the browser keeps what is half typed
    app.session_state["stored"] = "two"
    app.run()
    assert app.text_input[0].proto.set_value and app.text_input[0].value == "two"


def test_a_full_disk_is_said_in_words_and_the_page_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F5."""
    trained(home, "20260101-one")
    page = chosen("20260101-one")
    with monkeypatch.context() as patch:
        patch.setattr(Store, "star", lambda *_: fail(sqlite3.OperationalError("database or disk is full")))
        page.button(key="star_run").click().run()
        assert [toast.value for toast in page.toast] == [parts.NO_ROOM] and not page.exception
    page.button(key="star_run").click().run()
    assert open_store().job("20260101-one").starred
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("fgdesign.ui.shell.show_header", lambda **_: fail(full))
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    assert parts.NO_ROOM in words(page) and not page.exception


def fail(error: Exception) -> None:
    raise error


def test_a_deleted_run_is_brought_back_later(home: Path) -> None:
    trained(home, "20260101-one")
    open_store().jobs()
    open_store().delete("20260101-one")
    page = show("train")
    page.toggle(key="runs_show_deleted").set_value(True).run()
    page.session_state[runs_desk.CHOSEN] = ["20260101-one"]
    page.run()
    page.button(key="undelete_20260101-one").click().run()
    assert [one.name for one in open_store().jobs()] == ["20260101-one"]


def test_a_clone_fills_the_form_and_its_command_is_shown(home: Path) -> None:
    trained(home, "20260101-one", epochs=7, schedule="cosine", balance=0.5, device="cuda:1")
    page = chosen("20260101-one")
    assert any("--epochs 7" in code.value and "--schedule cosine" in code.value for code in page.code)
    page.button(key="clone_run").click().run()
    assert not page.exception
    assert page.number_input(key="set_epochs").value == 7 and page.selectbox(key="set_schedule").value == "cosine"
    assert page.number_input(key="set_balance").value == 0.5 and page.selectbox(key="set_device").value == "cuda"
    project = page.session_state[state.PROJECT]
    assert project.graph.name == "linear-probe" and project.data == library.samples()[1].id
    page.number_input(key="set_epochs").set_value(2)
    page.button(key="start_run").click().run()
    [job] = open_store().queue()
    told = job.folder.config()["settings"]
    assert (told["epochs"], told["schedule"], told["balance"]) == (2, "cosine", 0.5)


def test_a_clone_keeps_files_from_elsewhere_and_says_what_is_gone(home: Path, tmp_path_factory: Any) -> None:
    away = tmp_path_factory.mktemp("away")
    for part in ("train", "valid", "test"):
        (away / f"{part}.csv").write_text(f"text,label\ngood {part},yes\nbad {part},no\n" * 20, "utf-8")
    run, first = trained(home, "20260102-two"), trained(home, "20260101-one")
    (first.model).mkdir()
    (first.model / "config.json").write_text("{}")
    told = {part: str(away / f"{part}.csv") for part in ("train", "valid", "test")} | {"label": "label"}
    run.write("config.json", run.config() | {"data": told, "start": str(first.path)})
    page = chosen("20260102-two")
    page.button(key="clone_run").click().run()
    assert not page.exception and "not there any more" not in words(page)
    page.button(key="start_run").click().run()
    [job] = open_store().queue()
    data = job.folder.config()["data"]
    assert data["valid"] == told["valid"] and job.folder.config()["start"] == str(first.path)
    assert all(Path(data[part]).read_text() == Path(told[part]).read_text() for part in ("train", "test"))

    open_store().cancel(job.name)
    for part in ("train", "valid"):
        (away / f"{part}.csv").unlink()
    page = chosen("20260102-two")
    page.button(key="clone_run").click().run()
    assert f"it is not there any more: its data, {told['train']}." in words(page)
    page.button(key="forget_clone").click().run()
    assert "not there any more" not in words(page) and state.CLONED not in page.session_state


def test_a_run_is_trained_further_with_other_settings(home: Path) -> None:
    run = trained(home, "20260101-one", epochs=3)
    assert "further_run" not in {button.key for button in chosen("20260101-one").button}  # it has no model
    run.model.mkdir()
    (run.model / "config.json").write_text("{}")
    page = chosen("20260101-one")
    page.button(key="further_run").click().run()
    assert "It starts from the weights of 20260101\\-one." in words(page)
    assert any(f"--from {run.path}" in code.value for code in page.code)
    page.number_input(key="set_epochs").set_value(5)
    page.button(key="start_run").click().run()
    [job] = open_store().queue()
    config = job.folder.config()
    assert not page.exception and config["start"] == str(run.path) and config["settings"]["epochs"] == 5


def test_a_run_is_tested_on_the_rows_that_the_form_names(home: Path) -> None:
    (home / "mine.csv").write_text("text,label\ngood,yes\nbad,no\n" * 20, "utf-8")
    with (home / "mine.csv").open("rb") as stream:
        file = library.store(stream, "mine.csv")
    page = show("train")
    sample = page.session_state[state.PROJECT].data
    page.selectbox(key=f"tested_on_{sample}").set_value(file.id).run()
    assert any(f"--test {file.path}" in code.value for code in page.code)
    page.button(key="start_run").click().run()
    [job] = open_store().queue()
    assert job.folder.config()["data"]["test"] == str(file.path)


def test_runs_are_compared_by_curve_settings_and_mean(home: Path) -> None:
    one, other = trained(home, "20260101-one", clip=0.5), trained(home, "20260102-two", seed=3)
    other.write("report.json", {"task": "single", "test": {"macro_f1": 0.8}})
    page = chosen("20260101-one", "20260102-two")
    assert not page.exception
    assert "Test macro-F1 of 2 runs: mean 0.75, 95 % interval" in words(page)
    other.write("report.json", one.report())
    assert "Test macro-F1 of 2 runs: mean 0.7, the same in each." in words(chosen("20260101-one", "20260102-two"))
    table = next(frame.value for frame in page.dataframe if "what" in frame.value)
    assert dict(zip(table["what"], table["20260101-one"], strict=True)) == {"Gradient clipping": "0.5", "Seed": "0"}
    assert differences([one, one]) == {}
    page.button(key="delete_runs").click().run()
    assert not open_store().jobs()


def test_runs_of_different_kinds_are_compared_each_by_its_own_metric(home: Path) -> None:
    one, two, other = (trained(home, name) for name in ("20260101-one", "20260102-two", "20260103-other"))
    config = other.config()
    other.write("config.json", config | {"task": "regression", "data": config["data"] | {"split": "0.7/0.1/0.2"}})
    other.write("report.json", {"task": "regression", "test": {"pearson": 0.4}, "mean_layers": 6.0})
    two.write("report.json", {"task": "single", "test": {"macro_f1": 0.8}})
    page = chosen("20260101-one", "20260102-two", "20260103-other")
    assert not page.exception
    assert "Test macro-F1 of 2 runs of graph linear-probe on product reviews: mean 0.75" in words(page)
    table = next(frame.value for frame in page.dataframe if "what" in frame.value)
    told = dict(zip(table["what"], table["20260103-other"], strict=True))
    assert told["Task"] == "regression" and told["Split"] == "0.7/0.1/0.2"
    shown = next(frame.value for frame in page.dataframe if "score" in frame.value and "state" not in frame.value)
    assert dict(zip(shown["run"], zip(shown["score"], shown["of"], strict=True), strict=True)) == {
        "20260101-one": (0.7, "macro-F1"), "20260102-two": (0.8, "macro-F1"), "20260103-other": (0.4, "Pearson")}
    assert alike([one, two, other]) == [[one, two], [other]]
    (other.path / "graph.json").unlink()
    page = chosen("20260101-one", "20260103-other")
    assert not page.exception and "Cannot read the graph file" in words(page)
    table = next(frame.value for frame in page.dataframe if "state" in frame.value)
    assert dict(zip(table["run"], table["graph"], strict=True))["20260103-other"] == "cannot be read"
    assert alike([one, two, other]) == [[one, two]]
    live = show("train", run="20260103-other")
    assert not live.exception and "Cannot read the graph file" in words(live)


def test_a_run_that_ended_with_an_alarm_says_so_wherever_it_is_named(home: Path) -> None:
    good, bad = trained(home, "20260101-good"), trained(home, "20260102-bad")
    report = bad.report() or {}
    told = [{"code": code, "where": "tune", "message": f"It is {code}.", "suggestion": "Do so."}
            for code in ("divergence", "overfitting")]
    bad.write("report.json", {**report, "alarms": [*told, told[0]]})
    page = chosen("20260101-good", "20260102-bad")
    said = "succeeded, but: divergence, overfitting"
    table = next(frame.value for frame in page.dataframe if "state" in frame.value)
    assert dict(zip(table["run"], table["state"], strict=True)) == {"20260102-bad": f"⚠ {said}",
                                                                    "20260101-good": "succeeded"}
    assert f":orange-badge[:material/warning: {said}]" in words(page) and "20260102-bad" in words(page)
    lines = {run.name: header.run_line(run) for run in (good, bad)}
    assert [line.rpartition(" · ")[2] for line, _ in lines.values()] == ["succeeded", "succeeded, alarm"]
    assert [(stands.colour, stands.sign) for _, stands in lines.values()] == [
        ("green", ":material/check_circle:"), ("orange", ":material/warning:")]
    live = show("train", run="20260102-bad")
    assert f":orange-badge[:material/warning: {said}]" in words(live)
    assert "It is divergence. Do so." in words(live)
    assert ":green-badge[succeeded]" in words(show("train", run="20260101-good"))


def test_a_run_at_work_is_not_deleted(home: Path) -> None:
    trained(home, "20260101-one")
    open_store().jobs()
    open_store().change("20260101-one", ("succeeded",), state="running", managed=True)
    with pytest.raises(RunError, match="delete it"):
        open_store().delete("20260101-one")
    page = chosen("20260101-one")
    page.button(key="delete_run").click().run()
    assert not page.exception and len(open_store().jobs()) == 1
    assert "Stop it first" in page.toast[0].value and page.button(key="delete_run")  # it is still chosen


def test_a_deleted_run_that_an_address_names_can_only_be_brought_back(home: Path) -> None:
    run = trained(home, "20260101-one")
    open_store().jobs()
    run.write_status(state="failed")
    open_store().change("20260101-one", ("succeeded",), state="failed")
    open_store().delete("20260101-one")
    for wish in ("resume", "retry"):
        with pytest.raises(RunError, match=r"is deleted\. Bring it back first\."):
            getattr(open_store(), wish)("20260101-one")
    assert run.metrics()
    page = show("train", run="20260101-one")
    assert "It is kept for a week." in words(page)
    assert not {"resume_run", "retry_run"} & {button.key for button in page.button}
    page.button(key="bring_back_run").click().run()
    assert not page.exception and [job.name for job in open_store().jobs()] == ["20260101-one"]


@pytest.mark.parametrize("name", ["my run é", "<b>x<b>", "long" * 50])
def test_a_run_of_an_odd_name_is_opened(home: Path, name: str) -> None:
    trained(home, "20260101-one")
    trained(home, name)
    open_store().jobs()
    page = show("train", run=name)
    assert not page.exception and page.query_params["run"] in (name, [name])


def test_a_run_that_is_elsewhere_is_opened(home: Path, tmp_path_factory: Any) -> None:
    trained(home, "20260101-one")
    away = tmp_path_factory.mktemp("away") / "further"
    open_store().submit(load_graph("linear-probe"), {"train": str(library.samples()[0].path)}, out=away)
    page = show("train", run="further")
    assert not page.exception and page.query_params["run"] in ("further", ["further"])


def test_a_filter_says_how_many_runs_it_leaves_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fgdesign.ui.runs_table.MOST", 2)
    for number in range(3):
        trained(home, f"2026010{number + 1}-run")
    open_store().jobs()
    open_store().tag("20260101-run", ["any"])
    page = show("train")
    assert "The newest 2 of 3 runs that fit" in words(page)
    page.selectbox(key="runs_tag").set_value("any").run()
    assert page.dataframe[-1].value["run"].tolist() == ["20260101-run"] and "The newest" not in words(page)
