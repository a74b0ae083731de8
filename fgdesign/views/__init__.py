"""Pictures as plain data: the canvas, charts and exports, without Streamlit."""
