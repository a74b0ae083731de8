"""The web app: pages, their parts and what a session keeps."""
