"""`python -m toxic_local`: the same as `toxic-local`."""

from toxic_local.cli import main

if __name__ == "__main__":
    main()
