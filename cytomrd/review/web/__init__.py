"""The review page: a local web server and the page that it serves."""
