"""Frame bytes -> `Seen`, for whatever a capture holds; it never raises and never reads outside the frame.

Each layer is one function that names the next layer (`layer` explains how); `walk` calls one after the other until it meets
TCP. All are plain functions over integers, so that the same source is interpreted for small captures and compiled for large
ones.
"""
