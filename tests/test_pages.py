"""Every page as a person meets it: nothing there yet, something broken, all well. No process is started here."""

from __future__ import annotations

import errno
import io
import json
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import streamlit as st
from model_toys import CPU, on_tiny, tiny_folder, toy_network, toy_tokenizer
from streamlit.testing.v1 import AppTest
from test_training_alarms import FALLING, FLAT, routed, steps, valid

from fgdesign.data.write import safe_csv
from fgdesign.errors import DataError, GraphError
from fgdesign.graph import Graph, load_graph, to_json
from fgdesign.graph.spec import Node
from fgdesign.graph.starters import Sketch
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.search import Search, list_searches
from fgdesign.runs.search import begin as begin_search
from fgdesign.runs.space import as_drawn
from fgdesign.runs.store import open_store
from fgdesign.runs.trained import TrainedRun
from fgdesign.training.alarms import NAMES, alarms
from fgdesign.training.settings import Settings
from fgdesign.ui import header, library, live, models, runs_table, start, state
from fgdesign.views.numbers import percent

ROOT = Path(__file__).parents[1]
SECONDS = 60


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty workspace."""
    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path))
    st.cache_resource.clear()
    yield tmp_path
    st.cache_resource.clear()


def show(name: str, **address: str) -> AppTest:
    """A page, without the header, after its first run."""
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=SECONDS).switch_page(f"pages/{name}.py")
    for key, value in address.items():
        page.query_params[key] = value
    return page.run()


def opened(page: AppTest, *folds: str) -> AppTest:
    """The page with these folds open, after it ran again."""
    for fold in folds:
        page.session_state[fold] = True
    return page.run()


def words(page: AppTest) -> str:
    """All plain texts of a page."""
    return "\n".join(
        [
            *(str(item.value) for item in (*page.text, *page.title, *page.subheader, *page.caption)),
            *(str(item.label) + " " + str(item.value) for item in page.metric),
            *(str(item.value) for item in page.markdown),
        ]
    )


METRICS = {
    "rows": 4,
    "accuracy": 0.75,
    "macro_f1": 0.7,
    "log_loss": 0.5,
    "confusion": [[1, 1], [0, 2]],
    "per_class": {
        "no": {"precision": 1.0, "recall": 0.5, "f1": 0.67, "support": 2},
        "yes": {"precision": 0.67, "recall": 1.0, "f1": 0.8, "support": 2},
    },
}
REPORT = {
    "graph": "linear-probe",
    "task": "single",
    "labels": ["no", "yes"],
    "parameters": 1000,
    "trained_parameters": 100,
    "train": METRICS,
    "valid": METRICS,
    "test": METRICS,
    "mean_layers": 2.5,
    "seconds": {"total": 3.0},
    "routers": {"route": {"load": {"branch_1": 0.25, "branch_2": 0.75}, "entropy": 0.5, "agreement": 0.9}},
    "exits": [{"node": "exit_1", "depth": 1.0, "share": 0.5, "rows": 2, "accuracy": 1.0}],
    "full_depth": {"accuracy": 0.8},
}


def make_run(
    home: Path, name: str = "20260101-one", *, state: str = "succeeded", message: str = "", report: bool = True
) -> RunFolder:
    """A run folder as training leaves it, without a model."""
    run = RunFolder(home / "runs" / name)
    run.path.mkdir(parents=True)
    (run.path / "graph.json").write_text(to_json(load_graph("linear-probe")), "utf-8")
    run.write(
        "config.json", {"data": {"train": "rows.csv"}, "name": "rows.csv", "task": "single", "labels": ["no", "yes"]}
    )
    run.write_status(
        state=state, stage="tune", progress=0.5, seconds_left=65.0, message=message, pid=0, started=time.time()
    )
    for step in range(3):
        run.log({"kind": "step", "stage": "tune", "epoch": 0, "step": step, "loss": 1.0 - step / 4})
        run.log(
            {
                "kind": "valid",
                "stage": "tune",
                "epoch": 0,
                "step": step,
                "metrics": {"macro_f1": step / 4},
                "routers": {},
            }
        )
    if report:
        run.write("report.json", REPORT)
    return run


@pytest.mark.parametrize("name", ["home", "data", "train", "routes", "evaluate"])
def test_every_page_opens_in_an_empty_workspace(name: str) -> None:
    page = show(name)
    assert not page.exception
    assert len(page.title) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("home", "No run yet."),
        ("train", "No run yet."),
        ("routes", "No run yet. Train this graph"),
        ("evaluate", "No run yet."),
    ],
)
def test_a_page_without_a_run_says_so(name: str, said: str) -> None:
    assert said in words(show(name))


@pytest.mark.parametrize("address", ["../../etc", "no-such-run", "", "a/b"])
def test_a_name_in_the_address_is_never_a_path(home: Path, address: str) -> None:
    (home / "etc").mkdir()
    assert "No run yet." in words(show("evaluate", run=address))


def test_a_broken_project_file_gives_the_sample_project(home: Path) -> None:
    (home / "project.json").write_text("{broken", "utf-8")
    assert "Opens cheap-word-first" in words(show("home"))


def test_home_lists_samples_and_runs(home: Path) -> None:
    make_run(home)
    page = show("home")
    assert [button.label for button in page.button].count("Use it") == 3
    assert page.dataframe[0].value["run"].tolist() == ["20260101-one"]


def test_data_shows_how_the_sample_is_read() -> None:
    page = show("data")
    assert "Each row has one of 10 labels" in words(page)
    assert page.metric[0].label == "Rows"


def test_data_takes_a_column_named_by_a_person() -> None:
    page = show("data")
    box = next(box for box in page.selectbox if box.label == "Label")
    box.set_value("text").run()
    assert not page.exception
    assert "text" in words(page)
    assert "This cannot be learnt from yet" in "".join(str(item.value) for item in page.markdown)


def test_data_finds_rows() -> None:
    page = show("data")
    page.session_state["data_view"] = "Rows"
    page.run().text_input[0].set_value("unsubscribe").run()
    found = page.dataframe[0].value
    assert 0 < len(found) < 100
    assert found["text"].str.contains("unsubscribe", case=False).all()


def test_train_shows_a_run_that_is_done(home: Path) -> None:
    make_run(home)
    page = show("train")
    assert not page.exception
    assert "Validation macro-F1, best so far 0.5" in words(page)
    assert "Test macro-F1 0.7" in words(page)


def test_train_shows_a_run_at_work_and_stops_it(home: Path) -> None:
    run = make_run(home, state="running", report=False)
    page = show("train", run=run.name)
    assert "about 1 min 5 s left" in words(page)
    page.button(key="stop_run").click().run()
    assert run.asked_to_stop
    assert page.button(key="stop_run").disabled


def test_the_first_look_at_a_run_at_work_has_its_numbers_alone_and_each_next_has_more(home: Path) -> None:
    run = make_run(home, state="running", report=False)
    page = show("train", run=run.name)
    for piece in live.PIECES:
        assert "best so far 0.5" in words(page) and bool(page.dataframe) == (piece == "whole") and not page.exception
        told = [json.loads(item.proto.json or "{}") for item in page.get("bidi_component")]
        shown = [curve["key"] for data in told if "curves" in data for curve in data["curves"]]
        assert shown == ([] if piece == "numbers" else ["metric", "loss"]) and not page.get("plotly_chart")
        page.run()
    run.write_status(state="succeeded")
    assert len(page.run().get("plotly_chart")) == 2


def test_what_is_folded_away_is_not_drawn_before_it_is_opened(home: Path) -> None:
    run = make_run(home)
    page = show("train", run=run.name)
    assert not [field for field in page.number_input if field.key in ("seeds", "search_trials")]
    page = opened(page, "next_run_open", "next_search_open", "live_visibility_open", "live_notes_open")
    assert page.number_input(key="seeds").value == 1 and page.number_input(key="search_trials") and not page.exception


@pytest.mark.parametrize(("error", "said"), [
    (GraphError("Node 'a' is odd. Take it out."), "Node 'a' is odd. Take it out."),
    (OSError(errno.ENOSPC, "no space"), "The disk is full")])
def test_what_goes_wrong_in_a_part_that_runs_by_itself_is_said_in_its_place(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def broken() -> None:
        raise error

    monkeypatch.setattr("fgdesign.ui.settings_form.show", broken)
    run = make_run(home)
    page = opened(show("train", run=run.name), "next_run_open")
    assert said in words(page) and "Test macro-F1 0.7" in words(page) and not page.exception and not page.error


def test_another_run_is_taken_in_the_line_above_while_one_is_at_work(home: Path) -> None:
    run = make_run(home, "20260101-one", state="running", report=False)
    make_run(home, "20260102-two")
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=SECONDS)
    page.query_params["run"] = run.name
    page.run().button(key="look_20260102-two").click().run()
    assert page.query_params["run"] in ("20260102-two", ["20260102-two"]) and not page.exception


def test_a_form_once_drawn_stays_when_its_run_begins(home: Path) -> None:
    page = show("train")
    page.number_input(key="seeds").set_value(3).run()
    run = make_run(home, state="running", report=False)
    page.query_params["run"] = run.name
    page.run()
    assert page.number_input(key="seeds").value == 3


def test_train_queues_other_seeds_at_a_click(home: Path) -> None:
    run = make_run(home)
    run.write("config.json", run.config() | {"settings": {"seed": 5}, "data": {"train": "rows.csv"}})
    page = show("train", run=run.name)
    page.button(key="more_seeds").click().run()
    assert not page.exception
    queued = open_store(home).queue()
    assert [job.folder.config()["settings"]["seed"] for job in queued] == [6, 7, 8, 9]


def test_train_says_why_a_run_failed(home: Path) -> None:
    make_run(home, state="failed", message="Column 'label' is empty. [x](javascript:1)", report=False)
    page = show("train")
    assert "Column 'label' is empty. [x](javascript:1)" in [item.value for item in page.text]


def test_train_keeps_the_run_in_the_address(home: Path) -> None:
    make_run(home, "20260101-one")
    make_run(home, "20260102-two")
    assert "20260101" in words(show("train", run="20260101-one"))


def test_train_puts_into_the_queue_what_the_form_says(home: Path) -> None:
    page = show("train")
    page.number_input(key="set_epochs").set_value(2)
    page.number_input(key="set_seed").set_value(7)
    page.button(key="start_run").click().run()
    assert not page.exception
    [job] = open_store(home).queue()
    config = job.folder.config()
    settings = config["settings"]
    assert (settings["epochs"], settings["seed"], settings["device"]) == (2, 7, "auto")
    assert Path(config["data"]["train"]).name == "support_tickets.csv"
    assert job.folder.graph().name == "cheap-word-first"
    assert "Waiting for its turn" in words(page)


def test_the_command_to_copy_names_the_very_graph(home: Path) -> None:
    def named(graph: Graph) -> str:
        (home / "project.json").write_text(json.dumps({"graph": json.loads(to_json(graph))}), "utf-8")
        page = show("train")
        assert not page.exception
        return next(shlex.split(code.value)[2] for code in page.code if code.value.startswith("fgdesign train"))

    starter = load_graph("linear-probe")
    assert named(starter) == "linear-probe"
    drawn = starter.with_nodes(replace(node, tuning="full") if node.id == "layer_6" else node for node in starter.nodes)
    file = named(drawn)
    assert drawn.identity != starter.identity and load_graph(file).identity == drawn.identity
    assert named(drawn) == file


def test_the_buttons_of_a_rate_take_small_steps(home: Path) -> None:
    page = show("train")
    fields = {name: page.number_input(key=f"set_{name}") for name in ("rate", "layer_rate", "averaging")}
    assert {name: field.step for name, field in fields.items()} == {
        "rate": 5e-4, "layer_rate": 5e-5, "averaging": 0.005}
    assert fields["averaging"].increment().run().number_input(key="set_averaging").value == pytest.approx(0.985)


def test_a_preset_fills_the_form_and_reset_empties_it(home: Path) -> None:
    page = show("train")
    assert "Takes about" in words(page) and "Nothing stands in the way." in words(page)
    page.button_group(key="preset").set_value("fast").run()
    assert page.number_input(key="set_epochs").value == 1 and page.number_input(key="set_patience").value == 2
    assert page.button_group(key="preset").value == "fast"
    page.number_input(key="set_clip").set_value(0.5).run()
    assert page.button_group(key="preset").value is None
    assert "gradient clipping 0\\.5" in words(page)
    page.button(key="reset_settings").click().run()
    assert page.number_input(key="set_epochs").value is None and page.number_input(key="set_clip").value == 1.0
    assert "All settings are as by default" in words(page)


def test_a_rate_for_nobody_is_said_before_the_start(home: Path) -> None:
    page = show("train")
    page.text_input(key="set_rates").set_value("nobody=0.1").run()
    assert "names 'nobody', which no node of this graph is called" in words(page)
    page.text_input(key="set_rates").set_value("nobody").run()
    assert "gives names of nodes rates between 0 and 1" in words(page)
    assert not page.exception


def test_several_seeds_are_one_group(home: Path) -> None:
    page = show("train")
    page.number_input(key="seeds").set_value(3)
    page.number_input(key="set_seed").set_value(5).run()
    assert any(code.value.endswith("--queue\nfgdesign seeds last --more 2") for code in page.code)
    page.button(key="start_run").click().run()
    assert not page.exception
    jobs = open_store(home).queue()
    assert [job.folder.config()["settings"]["seed"] for job in jobs] == [5, 6, 7]
    assert len({job.group_name for job in jobs}) == 1 and jobs[0].group_name


def test_a_graph_with_errors_cannot_be_started(home: Path) -> None:
    graph = Graph("half", (Node("text", "text/1"),))
    (home / "project.json").write_text(json.dumps({"graph": json.loads(to_json(graph))}), "utf-8")
    page = show("train")
    assert "start_run" not in [button.key for button in page.button]
    with pytest.raises(GraphError, match="answer"):
        start.begin(graph, library.samples()[0])


def test_evaluate_shows_the_report(home: Path) -> None:
    make_run(home)
    page = show("evaluate")
    assert not page.exception
    said = words(page)
    assert "accuracy 0.75 on 4 test rows, 2.5 encoder layers per text, 100 trained parameters (10\u2009%)" in said
    assert "at full depth: accuracy 0.8" in said


def test_evaluate_before_the_report(home: Path) -> None:
    make_run(home, state="running", report=False)
    assert "has no report yet" in words(show("evaluate"))


def test_routes_before_the_model(home: Path) -> None:
    make_run(home, state="running", report=False)
    assert "has no model yet" in words(show("routes"))


class ToyRun(TrainedRun):
    """A trained run that was never on disk: a routed graph with an exit on a tiny encoder."""

    def __init__(self, folder: Path) -> None:
        s = Sketch()
        hidden = s.layers(s.text(max_length=24), 1, 2)
        early = s.add("early", "classifier", s.add("pool_1", "pool", hidden))
        s.add("exit_1", "exit", hidden, logits=early)
        pool = s.add("pool", "pool", s.layers("exit_1.next", 3, 4))
        s.add("gate", "router", pool, branches=2)
        merged = s.add("merge", "merge", s.add("expert", "ffn", "gate.branch_1", hidden=8), "gate.branch_2")
        s.add("answer", "answer", "exit_1.answer", s.add("late", "classifier", merged))
        self.network = toy_network(on_tiny(s, tiny_folder(folder)))
        self.network.module_of("exit_1").threshold.fill_(0.99)
        self.tokenizer, self.device, self.task = toy_tokenizer(), CPU, "single"
        self.labels, self.reads_pairs = ["*refund*", "login", "other"], False


@pytest.fixture
def modelled(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = make_run(home)
    run.model.mkdir()
    (run.model / "config.json").write_text("{}", "utf-8")
    found = [
        {"text": text, "text_b": None, "columns": {}, "layers": i, "prediction": "refund"}
        for i, text in enumerate(["amber boat", "candle door engine", "fiddle garden"])
    ]
    toy = ToyRun(tmp_path_factory.mktemp("tiny"))
    monkeypatch.setattr(models, "_trained", lambda path, changed: toy)
    monkeypatch.setattr(models, "examples", lambda run: found)
    return run


def test_routes_tell_the_answer_each_reason_and_whether_it_mattered(modelled: RunFolder) -> None:
    page = show("routes")
    assert not page.exception
    assert page.text_area[0].value == "amber boat"
    said = words(page)
    assert page.header[0].value in (r"\*refund\*", "login", "other")
    assert "% sure · 4 encoder layers" in said
    assert "threshold 0.99: goes on" in said
    assert "Chose branch_" in said
    assert said.count("redundant") + said.count("decisive") >= 2
    assert "Completeness error" in said or "Exact shares" in said


def test_a_forced_branch_changes_the_answer_and_stands_in_the_address(modelled: RunFolder) -> None:
    page = show("routes")
    page.multiselect[0].set_value(["exit_1: answer"]).run()
    assert not page.exception
    said = words(page)
    assert "Answer under the change" in said and "Changed: the answer" in said
    assert "2 encoder layers" in said
    assert page.query_params["force"] == "exit_1:answer"
    next(button for button in page.button if button.label == "Reset").click().run()
    assert "Answer under the change" not in words(page)


def test_an_edited_text_is_answered_beside_the_first(modelled: RunFolder) -> None:
    page = show("routes")
    page.text_area[1].set_value("amber kettle").run()
    assert not page.exception
    assert "Edited: the answer" in words(page)


def test_an_address_that_forces_what_is_not_there_is_said_and_can_be_reset(modelled: RunFolder) -> None:
    page = show("routes", force="gate:branch_9")
    assert not page.exception
    assert "There is no branch of 'gate' 'branch_9'" in words(page)
    assert any(button.label == "Reset the change" for button in page.button)


def test_routes_follow_a_picked_text(modelled: RunFolder) -> None:
    page = show("routes")
    page.selectbox[0].select_index(2).run()
    assert page.text_area[0].value == "fiddle garden"


@pytest.mark.parametrize(("text", "said"), [("  ", "Type a text, or pick one")])
def test_routes_of_a_text_that_cannot_be_traced(modelled: RunFolder, text: str, said: str) -> None:
    page = show("routes")
    page.text_area[0].set_value(text).run()
    assert not page.exception
    assert said in words(page)


def test_an_upload_is_kept_once_by_its_content(home: Path) -> None:
    first = library.store(io.BytesIO(b"text,label\na,b\n"), "../../evil.csv")
    again = library.store(io.BytesIO(b"text,label\na,b\n"), "other.csv")
    assert first.id == again.id
    assert first.path.parent == home / "data"
    assert [file.name for file in library.uploads()] == ["other.csv"]
    assert sorted(path.suffix for path in (home / "data").iterdir()) == [".csv", ".json"]


def test_an_upload_without_a_byte_is_refused(home: Path) -> None:
    with pytest.raises(DataError, match="is empty"):
        library.store(io.BytesIO(b""), "none.csv")
    assert not list((home / "data").iterdir())


def test_a_huge_upload_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fgdesign.data.store.LIMIT", 10)
    with pytest.raises(DataError, match="the most that is kept"):
        library.store(io.BytesIO(b"x" * 11), "big.csv")


def test_downloads_are_safe_to_open_in_a_spreadsheet() -> None:
    frame = pd.DataFrame({"text": ["=1+1", "@x", "plain"], "number": [-1, 2, 3]})
    assert safe_csv(frame.rename(columns={"number": "=n"})).decode() == "text,'=n\n'=1+1,-1\n'@x,2\nplain,3\n"



def test_the_table_leaves_out_folders_that_are_no_runs(home: Path) -> None:
    (home / "runs" / "odd").mkdir(parents=True)
    assert runs_table.rows([RunFolder(home / "runs" / "odd"), make_run(home)])["run"].tolist() == ["20260101-one"]


def test_the_project_outlives_the_session(home: Path) -> None:
    def visit(script: Callable[[], None]) -> AppTest:
        return AppTest.from_function(script, default_timeout=SECONDS).run()

    def choose() -> None:
        from fgdesign.ui import state

        state.set_data("sample-market_news")
        state.change(run="20260101-one")

    def look() -> None:
        import streamlit as st

        from fgdesign.ui import state

        st.text(f"{state.project().data} {state.project().run} {state.current_graph().name}")

    assert not visit(choose).exception
    assert visit(look).text[0].value == "sample-market_news 20260101-one cheap-word-first"


def test_the_sample_project_names_what_is_there() -> None:
    assert state.FIRST_DATA in [file.id for file in library.samples()]
    assert load_graph(state.FIRST_GRAPH)


def test_every_alarm_stands_on_the_page_with_what_to_do(home: Path) -> None:
    run = make_run(home, state="running", report=False)
    log = steps([1.0, None], "head") + steps(FALLING, "warm") + valid([0.6, 0.5, 0.7, 0.8], stage="warm")
    log += steps(FLAT, "tune") + valid([1.1, 1.1, 1.1]) + routed([(0.95, 0.04, 0.01)] * 3)
    for number, entry in enumerate(log):
        run.log({"epoch": 0, "step": number, **entry, "best": False})
    page = show("train", run=run.name)
    found = alarms(run.metrics())
    assert {alarm.code for alarm in found} == set(NAMES) and not page.exception
    for alarm in found:
        assert f"{alarm.message} {alarm.suggestion}" in words(page) and NAMES[alarm.code] in words(page)


def searched(home: Path) -> Search:
    """A search with two trials that are through, one pruned, one at work."""
    search = begin_search(open_store(home), load_graph("routed-experts"), {"train": "rows.csv"}, Settings(), trials=9)
    drawn = as_drawn(search.space(), search.graph(), search.settings())
    search.write_trials([
        {"number": number, "run": search.run_name(number), "state": name, "value": value, "values": [0.1],
         "message": "", "params": drawn | {"settings.rate": 0.001 + number / 1e4, "experts.router": experts}}
        for number, name, value, experts in ((0, "done", 0.7, 4), (1, "done", 0.8, 2), (2, "pruned", 0.3, 8),
                                             (3, "running", None, 4))])
    return search


def test_a_search_is_begun_with_what_may_change(home: Path) -> None:
    page = opened(show("train"), "next_search_open")
    page.multiselect(key=next(field.key for field in page.multiselect if str(field.key).startswith("search_changes")))
    page.number_input(key="search_trials").set_value(7)
    page.button(key="start_search").click().run()
    assert not page.exception
    [search] = list_searches(home)
    told = search.told()
    assert (told["trials"], told["state"], told["prune"]) == (7, "running", True)
    assert "exit.exit_3" in told["space"]["choices"] and search.graph().name == "cheap-word-first"
    assert "0 of 7 trials are through" in words(page)


def test_a_search_shows_its_trials_and_puts_the_best_in_place(home: Path) -> None:
    search = searched(home)
    page = show("train")
    assert not page.exception and "best 0.8 in trial 1" in words(page) and "3 of 9 trials" in words(page)
    table = next(frame.value for frame in page.dataframe if "trial" in frame.value)
    assert table["trial"].tolist() == [3, 2, 1, 0] and table[""].tolist() == ["", "", "★", ""]
    for picture in ("what decided", "history", "trials"):
        page.segmented_control(key="search_picture").set_value(picture).run()
        assert not page.exception
    page.button(key="use_best").click().run()
    assert not page.exception and page.number_input(key="set_rate").value == 0.0011
    graph = page.session_state[state.PROJECT].graph
    assert graph.identity == search.chosen(1)[0].identity and "expert_3" not in graph.ids
    page.button(key="stop_search").click().run()
    assert search.told()["state"] == "stopping"
    search.write(state="stopped")
    page.run()
    page.button(key="more_trials").click().run()
    assert (search.told()["state"], search.told()["trials"]) == ("running", 19)


def test_what_a_trial_chose_is_in_the_form_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched(home)
    page, again, real = show("train"), [], st.rerun
    monkeypatch.setattr(st, "rerun", lambda **how: (again.append(how), real(**how)))
    page.button(key="use_best").click().run()  # in a part that renews itself alone: the page has to be asked for
    assert again == [{}] and not page.exception


def test_a_search_is_stopped_gone_on_with_deleted_and_brought_back(home: Path) -> None:
    search = searched(home)
    page = show("train")
    assert any(f"fgdesign searches stop {search.name}" in code.value for code in page.code)
    page.button(key="stop_search").click().run()
    search.write(state="stopped")
    page.run()
    assert any(f"fgdesign searches resume {search.name} --more 10" in code.value for code in page.code)
    page.button(key="resume_search").click().run()
    assert (search.told()["state"], search.told()["trials"]) == ("running", 9)
    search.write(state="stopped")
    page.run()
    page.button(key="delete_search").click().run()
    assert list_searches(home) == [] and f"Deleted: {search.name}." in words(page)
    page.button(key="undo_search").click().run()
    assert list_searches(home) == [search] and "3 of 9 trials" in words(page)
    page.button(key="delete_search").click().run()
    page.toggle(key="searches_show_deleted").set_value(True).run()
    assert any(f"fgdesign searches undelete {search.name}" in code.value for code in page.code)
    page.button(key="undelete_search").click().run()
    assert list_searches(home) == [search] and not page.exception


def test_a_search_is_paused_and_gone_on_with(home: Path) -> None:
    search = searched(home)
    page = show("train")
    assert any(f"fgdesign searches pause {search.name}" in code.value for code in page.code)
    page.button(key="pause_search").click().run()
    assert search.told()["state"] == "pausing" and not page.exception
    assert not page.button(key="stop_search").disabled and not page.button(key="resume_search").disabled
    search.write(state="paused")
    search.write_trials([{**trial, "state": "paused" if trial["number"] == 3 else trial["state"]}
                         for trial in search.trials()])
    page.run()
    assert "3 of 9 trials" in words(page) and not any(button.key == "pause_search" for button in page.button)
    assert any(code.value == f"fgdesign searches resume {search.name}" for code in page.code)
    page.button(key="resume_search").click().run()
    assert (search.told()["state"], search.told()["trials"]) == ("resuming", 9) and not page.exception


def test_a_search_takes_a_space_file(home: Path) -> None:
    page = opened(show("train"), "next_search_open")

    def give(choices: dict[str, Any]) -> None:
        text = json.dumps({"format": "fgdesign.space/1", "choices": choices})
        page.file_uploader(key="search_space_file").set_value(("my.json", text.encode(), "application/json")).run()

    give({"settings.rte": {"values": [1, 2]}})
    assert "my.json: Choice 'settings.rte' is about no setting" in words(page) and not page.exception
    mine = {"settings.rate": {"low": 0.001, "high": 0.002}, "settings.epochs": {"values": [1, 2]}}
    give(mine)
    assert not page.exception
    page.button(key="start_search").click().run()
    [search] = list_searches(home)
    assert search.told()["space"]["choices"] == mine


def test_without_optuna_the_page_says_how_to_get_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fgdesign.runs.search.find_spec", lambda name: None)
    page = opened(show("train"), "next_search_open")
    assert "pip install 'fgdesign[search]'" in words(page) and not page.exception


def test_the_header_cuts_a_runs_name_and_not_how_far_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "20260101-000000-cheap-word-first-customer-questions")
    monkeypatch.setattr(RunFolder, "status", lambda self: {"state": "running", "progress": 0.42})
    line, stands = header.run_line(run)
    assert len(line) == header.LONGEST_LINE
    assert line.startswith("20260101-000000-cheap-word")
    assert line.endswith(f"… · running {percent(0.42)}")
    assert (stands.state, stands.alarms) == ("running", ())
    assert header.run_line(RunFolder(tmp_path / "short"))[0] == f"short · running {percent(0.42)}"
