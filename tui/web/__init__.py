"""The app in a browser: who may enter, the server, and the process that each visitor gets."""
