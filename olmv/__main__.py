"""`olmv`, and `python -m olmv`, which `accelerate launch -m olmv train ...` needs."""

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line and return its exit code; Ctrl-C while it is imported is Ctrl-C, too."""
    try:
        from olmv.cli import main as run
    except KeyboardInterrupt:
        print("olmv: stopped", file=sys.stderr)
        return 130
    return run()


if __name__ == "__main__":
    raise SystemExit(main())
