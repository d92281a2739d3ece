"""`python -m authz`: the command line, where the console command is not on the path."""

from authz.app.cli import main

if __name__ == "__main__":
    main(prog_name="authz")
