"""Buttons beside findings that lead to where a person acts: rows to label, the other kind of task, the test table.

What they change is shown there and can be taken back. Knows nothing of how findings are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from fgdesign.data.apart import Progress
from fgdesign.data.recipe import Recipe, recipe_json
from fgdesign.data.repair import Repair, repair_from
from fgdesign.data.task import numbers
from fgdesign.ui import data_intake, data_profile, library, state
from fgdesign.ui.words import label

Found = Mapping[str, Any]  # a finding as JSON holds it


def accept(file: library.DataFile, repair: Repair) -> None:
    """Take a repair into the recipe; a column that it reads as something is read so everywhere."""
    data_profile.set_recipe(file, data_profile.recipe_for(file).with_repairs([repair]))
    if repair.kind == "join_columns" and state.project().label in repair.columns:
        state.change(label="")
    if repair.kind == "read_as" and repair.columns[0] in data_profile.table_read(file).frame:
        state.change(**{repair.rule: repair.columns[0]})


def take_back(file: library.DataFile, repair: Repair) -> None:
    """Take a repair out of the recipe again."""
    data_profile.set_recipe(file, data_profile.recipe_for(file).without(repair))
    if repair.kind == "read_as" and getattr(state.project(), repair.rule) == repair.columns[0]:
        state.change(**{repair.rule: ""})


def by_hand(file: library.DataFile, finding: Found) -> None:
    """Label the rows in the table."""
    st.button("Label the rows by hand", key=f"by_hand_{finding['code']}", icon=":material/edit:", on_click=_by_hand,
              args=(file, data_profile.recipe_for(file)), help="Opens the table of rows, where cells are changed. What "
              "was changed is saved as a new version.")  # fmt: skip


def _by_hand(file: library.DataFile, recipe: Recipe) -> None:
    """Show the rows; where there is no column for labels yet, have a version made that has one."""
    added = [repair for repair in recipe.repairs if repair.kind == "add_column"]
    if not added:
        st.session_state[state.VIEW] = "Rows"
        return
    owner, text = library.person(), recipe_json(recipe)

    def make(tell: Progress) -> library.DataFile:
        return library.version(file, "store_repaired", {"recipe": recipe.to_dict()}, owner, tell, recipe=text)

    def stored(new: library.DataFile) -> None:
        if state.project().data == file.id:
            state.keep_reading(new.id, label=added[0].columns[0])
            st.session_state[state.VIEW] = "Rows"
        st.toast(f"{label(new.name)}: a new version with a column to fill in is stored.", icon=":material/check:")

    data_intake.save(file, make, stored)


def as_number(file: library.DataFile, finding: Found) -> None:
    """Predict a number, where the labels are numbers."""
    name = finding["column"]
    table = data_profile.table_read(file)
    cells = [cell for cell in table.frame[name].str.strip().tolist() if cell] if name in table.frame else []
    if numbers(cells) is not None:
        st.button("Predict a number", key=f"as_number_{finding['code']}", icon=":material/123:", on_click=_predict,
                  args=("regression",), help="The choice is shown above, under Predict.")  # fmt: skip


def as_label(file: library.DataFile, finding: Found) -> None:
    """Predict one label, where a number was asked for."""
    st.button("Predict one label", key=f"as_label_{finding['code']}", icon=":material/label:", on_click=_predict,
              args=("single",), help="The choice is shown above, under Predict.")  # fmt: skip


def _predict(task: str) -> None:
    state.change(task=task)


def of_test(file: library.DataFile, finding: Found) -> None:
    """Repair the test table instead of this one."""
    test = data_profile.test_of(file)
    if finding["there"] is not None and test is not None:
        repair = repair_from(finding["there"])
        st.button(f"{repair.title} in the test table", key=f"of_test_{finding['code']}", icon=":material/healing:",
                  on_click=_mend_test, args=(test, repair), help="Opens the test table with this repair in its recipe; "
                  "save it there, then come back here.")  # fmt: skip


def _mend_test(test: library.DataFile, repair: Repair) -> None:
    accept(test, repair)
    state.set_data(test.id)
    st.toast(f"{label(test.name)} is shown, with its recipe.", icon=":material/check:")


BUTTONS: dict[str, tuple[Callable[[library.DataFile, Found], None], ...]] = {
    "no_label_column": (by_hand,),
    "no_labels": (by_hand,),
    "single_class": (by_hand,),
    "all_classes_small": (by_hand,),
    "not_learnable": (as_number, by_hand),
    "not_a_number": (as_label,),
    "test_labels": (of_test,),
}
