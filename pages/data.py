"""Data: upload or choose a table, see what it is like and what is wrong with it, repair and edit it."""

import streamlit as st

from fgdesign.ui import data_choose, data_page, state

st.title("Data", anchor=False)
choose, shown = st.columns([1, 3], gap="large")
with choose:
    data_choose.choose()
file = state.current_data()
with shown:
    if file is None:
        st.text("No data set is chosen. Upload a table, or take a sample on the left.")
    else:
        data_page.show(file)
