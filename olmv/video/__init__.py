"""From a video or photo to the sampled frames of it, at the size a model wants.

`readers` opens one file, `sampling` picks frame indices, `transforms` resizes, `loader` does all three for many files
in worker processes. Import from the submodules: torch, av and Pillow are imported only where they are needed.
"""
