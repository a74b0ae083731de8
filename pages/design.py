"""Design: draw the function graph."""

import streamlit as st

from fgdesign.ui.design_page import bar, editor

st.set_page_config(layout="wide")
bar()
editor()
