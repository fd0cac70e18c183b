from toxic_inference.adapters.nvidia import NvidiaReader


def test_what_gpus_say_is_in_range_and_their_absence_no_error() -> None:
    """A machine without a driver has none; otherwise shares are between 0 and 1."""
    for reading in NvidiaReader().read():
        assert 0.0 <= reading.utilisation <= 1.0
        assert 0 <= reading.used_bytes <= reading.total_bytes
