"""What developers of detnas need: set-up, checks, the example, a test cluster, generated files.

Nothing here is installed with detnas. `dev.py` in the checkout's root is the way in;
`CONTRIBUTING.md` lists what each part is for.
"""
