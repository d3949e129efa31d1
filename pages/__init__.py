"""Pages for people in a browser: they wrap the services of the command protocol, as the API's routes do."""
