"""Studies of depth, and the shell around the library: flags, datasets, files, figures.

``python -m experiments`` lists the studies.  Nothing here imports JAX until a study has checked
its flags, so that help and refusals are immediate.
"""
