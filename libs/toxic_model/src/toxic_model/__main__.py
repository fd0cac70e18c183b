"""`python -m toxic_model`: the same as `toxic`."""

from toxic_model.offline.command import main

if __name__ == "__main__":
    main()
