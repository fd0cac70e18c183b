"""`toxic-migrate …`, also as `python -m toxic_migrate …`."""

from toxic_migrate.cli import main

if __name__ == "__main__":
    main()
