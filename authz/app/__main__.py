"""`python -m authz.app`: the command line, for the processes that we start ourselves."""

from authz.app.cli import main

if __name__ == "__main__":
    main(prog_name="authz")
