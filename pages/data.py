"""Data: upload or choose a table, see how it is read, change what was guessed."""

import streamlit as st

from fgdesign.ui import data_view, doctor_view, parts, start, state
from fgdesign.ui.words import label

st.title("Data", anchor=False)
choose, shown = st.columns([1, 3], gap="large")
with choose:
    data_view.choose()
file = state.current_data()
with shown:
    if file is None:
        st.text("No data set is chosen. Upload a table, or take a sample on the left.")
        st.stop()
    st.subheader(label(file.title.capitalize()), anchor=False)
    dataset = data_view.read(file)
    doctor_view.show(file)
    if dataset is None:
        st.stop()
    data_view.numbers(file, dataset)
    data_view.pictures(dataset)
    parts.sentences(dataset.notes, "How it was read")
    data_view.rows(dataset)
    start.train_button(state.current_graph())
    parts.show_command(*start.command_words(state.current_graph(), file))
