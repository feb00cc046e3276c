"""Files that must not be imported into the process of the tests: they change PyTorch."""

collect_ignore = ["fake_gpu.py", "fits_on_fake_gpu.py"]
