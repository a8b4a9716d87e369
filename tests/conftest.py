"""Makes this folder importable, so that tests in the folders below find `helpers`."""
