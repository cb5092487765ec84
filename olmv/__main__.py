"""`python -m olmv`, which `accelerate launch -m olmv train ...` needs."""

from olmv.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
